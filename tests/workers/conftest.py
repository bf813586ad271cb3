"""Systems for the tests of the workers, and of what they survive."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import MakeDatabase
from tests.workers.harness import System, new_system
from workers import aftermath, memory, outage, progress

MakeSystem = Callable[..., System]


def _systems(
    make_database: MakeDatabase, template: str, folders: pytest.TempPathFactory
) -> Iterator[MakeSystem]:
    with ExitStack() as stack:

        def make(**environment: object) -> System:
            folder = folders.mktemp("system")
            database_url = stack.enter_context(make_database(template))
            return stack.enter_context(new_system(folder, database_url, **environment))

        yield make


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """No test knows of the outages and the requests that another one saw."""
    yield
    aftermath._ended.clear()
    aftermath._is_on[0] = False
    outage._left_alone_until[0] = 0.0
    memory._seen.clear()
    progress._silent_until[0] = 0.0
    progress._under_way_until.clear()


@pytest.fixture
def make_system(
    make_database: MakeDatabase, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeSystem]:
    """Make systems that end with the test. No process runs in them yet."""
    yield from _systems(make_database, template, tmp_path_factory)


@pytest.fixture(scope="module")
def make_shared_system(
    make_database: MakeDatabase, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeSystem]:
    """Make systems that end with the module."""
    yield from _systems(make_database, template, tmp_path_factory)
