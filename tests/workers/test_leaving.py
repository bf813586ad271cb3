"""A worker whose end is held up by a child that cannot end."""

import fcntl
import os
import pickle
import re
import signal
import struct
import termios
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.db.rows import new_request
from tests.killing import needs_linux, survivors
from tests.workers.conftest import MakeSystem
from tests.workers.running import Hasty, Worker
from tests.workers.waiting import until

UNREADABLE = b"\x01"
"""No pickle begins so."""


def _fail(worker: Worker) -> None:
    """Have it read in its child's results what none says. It is an error that none expects."""
    results_of(worker).write_bytes(struct.pack(">i", len(UNREADABLE)) + UNREADABLE)


def results_of(worker: Worker) -> Path:
    """The pipe that the main process reads and does not wait for, and its child writes to."""
    [child] = worker.children()
    read = {pipe for pipe, _, flags in _pipes(worker.pid) if flags & os.O_NONBLOCK}
    [way] = {path for pipe, path, flags in _pipes(child) if flags & os.O_WRONLY and pipe in read}
    return way


def unread(way: Path) -> int:
    """Bytes that wait in a pipe."""
    with os.fdopen(os.open(way, os.O_RDONLY | os.O_NONBLOCK)) as end:
        [number] = struct.unpack("i", fcntl.ioctl(end, termios.FIONREAD, bytes(4)))
    return int(number)


def _pipes(pid: int) -> list[tuple[Path, Path, int]]:
    """The ends of pipes that a process has: which pipe, where, and how it was opened."""
    found = []
    for path in Path(f"/proc/{pid}/fd").iterdir():
        pipe = path.readlink()
        if pipe.name.startswith("pipe:"):
            told = Path(f"/proc/{pid}/fdinfo/{path.name}").read_text()
            [flags] = re.findall(r"^flags:\s*(\d+)$", told, re.MULTILINE)
            found.append((pipe, path, int(flags, 8)))
    return found


@needs_linux
@pytest.mark.parametrize("bring_about", [Worker.terminate, _fail], ids=["asked", "error"])
def test_a_worker_that_is_to_end_is_gone_in_time_and_its_children_with_it(
    make_system: MakeSystem, bring_about: Callable[[Worker], None]
) -> None:
    system = make_system()
    worker = system.start_worker(kind=Hasty, concurrency=1)
    # What has done a task has had the time to say that it dies with the worker.
    system.wait_until_ended(system.submit(new_request()))
    system.wait_until_quiet()
    [child] = [psutil.Process(pid) for pid in worker.children()]
    os.kill(child.pid, signal.SIGSTOP)
    bring_about(worker)
    assert worker.wait() == 1
    assert not survivors([child])
    # Whoever finds it wants to know what it was waiting for.
    assert "Timeout" in worker.log
    assert "billiard/process.py" in worker.log
    assert ("Unrecoverable error" in worker.log) == (bring_about is _fail)


@needs_linux
def test_a_result_of_which_redis_was_lost_in_the_middle_is_read_to_its_end(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    worker = system.start_worker(concurrency=1)
    system.wait_until_quiet()
    nothing = pickle.dumps(None)
    result = struct.pack(">i", len(nothing)) + nothing
    way = results_of(worker)
    os.kill(worker.children().pop(), signal.SIGSTOP)
    way.write_bytes(result[:6])
    until(lambda: unread(way) == 0, what="the first of it is read")
    with closing(Redis.from_url(system.broker.url)) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    until(lambda: worker.log.count("Connected to") > 1, what="it has come back")
    way.write_bytes(result[6:])
    os.kill(worker.children().pop(), signal.SIGCONT)
    [request_id] = system.submit(new_request())
    system.wait_until_ended([request_id])
    assert "Unrecoverable" not in worker.log
