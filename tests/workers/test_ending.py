"""The end of a worker, asked for while its children work."""

import os
import signal
from typing import Final

import psutil

from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until

AT_ONCE: Final = 20.0
"""Seconds on a busy machine. Celery's own way out took 30 s more."""


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
