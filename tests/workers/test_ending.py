"""The end of a worker, asked for while its children work."""

import os
import signal
from typing import Final

import psutil

from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import stays, until

AT_ONCE: Final = 20.0
"""Seconds on a busy machine. Celery's own way out took 30 s more."""

HEARTBEAT: Final = 2.0
"""Seconds between two of a worker's."""


def test_a_worker_ends_soon_though_a_task_begins_in_that_moment(make_system: MakeSystem) -> None:
    # Its main process knows of a task that a child has been given, and not that it was begun.
    system = make_system()
    worker = system.start_worker(concurrency=1)
    [child] = worker.children()
    system.wait_until_quiet()
    os.kill(child, signal.SIGSTOP)
    system.submit(new_request())
    held = until(
        lambda: [each for each in system.broker.messages() if each.is_held],
        what="the message is with the worker",
    )
    threads = psutil.Process(worker.pid).num_threads()
    worker.terminate()
    until(
        lambda: psutil.Process(worker.pid).num_threads() > threads,
        what="the worker waits for its child",
    )
    os.kill(child, signal.SIGCONT)
    assert worker.wait(within=AT_ONCE) == 0
    # Whatever the child has made of it, it is given back, and comes again to be looked at.
    assert held[0].task == "create_request"
    assert not [each for each in system.broker.messages() if each.is_held]


def test_a_worker_ends_soon_while_redis_is_away(make_system: MakeSystem) -> None:
    system = make_system()
    worker = system.start_worker(concurrency=1)
    server = system.broker.server()
    worker.freeze()
    server.kill()
    server.wait()
    # The first thing that it does without Redis is what is due every other second.
    assert stays(lambda: not server.is_running(), seconds=HEARTBEAT + 0.5)
    worker.thaw()
    worker.terminate()
    assert worker.wait(within=AT_ONCE) == 0
