"""What befalls our own processes: they die, freeze, are doubled and deployed."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tests.faults.relay import relay
from tests.faults.stage import Stage, has_ended
from tests.workers.running import Process, Worker
from workers.app import TASK_TIME_LIMIT

FROZEN: Final = 5.0
LOST: Final = 12.0
"""Seconds."""


def child_dies(stage: Stage) -> None:
    """One process of a pool."""
    [child, *_] = sorted(stage.workers[-1].children())
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def worker_dies(stage: Stage) -> None:
    """A whole worker at once, as with its machine; another is started."""
    stage.workers[-1].kill()
    stage.start_worker()


def head_dies(stage: Stage) -> None:
    """The main process of a worker alone: its children must not live on."""
    worker = stage.workers[-1]
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    stage.start_worker()


def worker_freezes(stage: Stage) -> None:
    """All of a worker stands still for a while."""
    worker = stage.workers[-1]
    worker.freeze()
    time.sleep(FROZEN)
    worker.thaw()


def deployment(stage: Stage) -> None:
    """New workers, then the old ones are told to end: SIGTERM."""
    _replace(stage, Worker.terminate)


def hasty_deployment(stage: Stage) -> None:
    """The same with SIGQUIT, which gives back what is not soon done."""
    _replace(stage, lambda worker: os.kill(worker.pid, signal.SIGQUIT))


def beat_dies(stage: Stage) -> None:
    """Beat, and nobody notices for a while."""
    for each in stage.beats:
        each.kill()
    time.sleep(FROZEN)
    stage.start_beat()


def two_beats(stage: Stage) -> None:
    """One too many, for a while."""
    other = stage.start_beat()
    time.sleep(FROZEN)
    _end(other)


def bot_dies(stage: Stage) -> None:
    """The bot, and another is started."""
    stage.kill_bot()
    stage.start_bot()


def bot_is_deployed(stage: Stage) -> None:
    """The bot is told to end, and another is started."""
    _end(stage.bot)
    stage.start_bot()


def power_fails(stage: Stage) -> None:
    """All processes of ours at once; all are started anew."""
    workers = len(stage.workers)
    stage.kill_bot()
    for each in [*stage.workers, *stage.beats]:
        each.kill()
    stage.start_bot()
    for _ in range(workers):
        stage.start_worker()
    stage.start_beat()


def workers_lose_postgres(stage: Stage) -> None:
    """Their way to it is closed, and the bot's is not. They are deployed by that way, and back."""
    with relay(stage.postgres.url) as way:
        _replace(stage, Worker.terminate, DATABASE_URL=way.url)
        with way.closed():
            time.sleep(LOST)
        _replace(stage, Worker.terminate)


def _replace(stage: Stage, end: Callable[[Worker], None], **environment: object) -> None:
    old = stage.workers
    for _ in old:
        stage.start_worker(**environment)
    for each in old:
        end(each)
    for each in old:
        has_ended(each, within=TASK_TIME_LIMIT)


def _end(process: Process) -> None:
    process.terminate()
    process.wait()
