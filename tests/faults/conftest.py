"""The same systems as the workers' tests have; and where the lines of the tables go."""

from collections.abc import Callable

import pytest

from tests.faults.ledger import Line, table
from tests.faults.run import Run
from tests.workers.conftest import make_shared_system, make_system

__all__ = ["make_shared_system", "make_system"]

Record = Callable[[Line], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Have a line stand in the table of this run, and hold it to what must never be."""
    runs = [each for each in request.config.pluginmanager.get_plugins() if isinstance(each, Run)]

    def note(line: Line) -> None:
        for run in runs:
            run.lines.append(line)
        print(f"\n{table([line])}")
        assert line.holds, f"\n{table([line])}"

    return note
