"""A folder that servers may use, and one Redis for all commands of this folder's tests."""

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.bot.running import assert_nothing_left
from workers import embedded

NewBroker = Callable[[], str]


@pytest.fixture(scope="session", autouse=True)
def _ctrl_c_is_heard() -> None:
    """A shell starts what it runs in the background deaf to Ctrl-C, and so its children."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder of a module's own, which everybody may enter, as root's servers have to."""
    folder = Path(tempfile.mkdtemp(prefix="video-bot-cli-")).resolve()
    folder.chmod(0o711)
    yield folder
    assert_nothing_left(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_broker() -> Iterator[NewBroker]:
    """Make the address of an empty Redis database, which no other test uses."""
    numbers = count(1)
    with (
        tempfile.TemporaryDirectory(prefix="video-bot-redis-") as folder,
        embedded.redis(Path(folder), durable=False) as address,
    ):
        yield lambda: f"{address.rpartition('/')[0]}/{next(numbers)}"
