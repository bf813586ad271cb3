"""What goes wrong, done from outside to a system that works, with nobody's consent.

An accident leaves the system able to go on: what was killed is started again, what was frozen
thaws. Postgres that is away for longer than a request takes has tests of its own.
"""

import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Final

from sqlalchemy import text

from tests.e2e.delivery import Studio
from tests.workers.running import Worker
from workers.app import TASK_TIME_LIMIT

FROZEN: Final = 2.0
"""Seconds."""

Accident = Callable[[Studio], None]


def _redis_forgets(studio: Studio) -> None:
    studio.system.broker.flush()


def _redis_freezes(studio: Studio) -> None:
    _freeze([studio.system.broker.server().pid])


def _postgres_freezes(studio: Studio) -> None:
    _freeze(_backends(studio))


def _postgres_throws_out(studio: Studio) -> None:
    with studio.system.database.autocommit() as conn:
        conn.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def _child_dies(studio: Studio) -> None:
    [child, *_] = sorted(_newest(studio).children())
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _worker_dies(studio: Studio) -> None:
    _newest(studio).kill()
    studio.system.start_worker()


def _worker_freezes(studio: Studio) -> None:
    worker = _newest(studio)
    worker.freeze()
    time.sleep(FROZEN)
    worker.thaw()


def _deployment(studio: Studio) -> None:
    old = _newest(studio)
    studio.system.start_worker()
    old.terminate()
    old.wait(within=TASK_TIME_LIMIT)


def _hasty_deployment(studio: Studio) -> None:
    old = _newest(studio)
    studio.system.start_worker()
    os.kill(old.pid, signal.SIGQUIT)
    old.wait(within=TASK_TIME_LIMIT)


def _beat_dies(studio: Studio) -> None:
    beat = studio.system.start_beat()
    beat.kill()


def _two_beats(studio: Studio) -> None:
    for _ in range(2):
        studio.system.start_beat()


ACCIDENTS: Final[dict[str, Accident]] = {
    "Redis flushed": _redis_forgets,
    "Redis frozen": _redis_freezes,
    "Postgres frozen": _postgres_freezes,
    "Postgres closes all connections": _postgres_throws_out,
    "pool child SIGKILL": _child_dies,
    "worker SIGKILL": _worker_dies,
    "worker frozen": _worker_freezes,
    "deployment, SIGTERM": _deployment,
    "deployment, SIGQUIT": _hasty_deployment,
    "beat SIGKILL": _beat_dies,
    "two beats": _two_beats,
}


def _newest(studio: Studio) -> Worker:
    return [each for each in studio.system.processes if isinstance(each, Worker)][-1]


def _backends(studio: Studio) -> list[int]:
    others = text(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with studio.system.database.autocommit() as conn:
        return list(conn.execute(others).scalars())


def _freeze(pids: Collection[int]) -> None:
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        if number is signal.SIGSTOP:
            time.sleep(FROZEN)
