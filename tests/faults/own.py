"""What befalls our own processes: they die, freeze, are doubled and deployed."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from tests.faults.scene import Scene
from tests.workers.running import Process, Worker
from workers.app import TASK_TIME_LIMIT

FROZEN: Final = 5.0
"""Seconds."""


def child_dies(scene: Scene) -> None:
    """One process of a pool."""
    [child, *_] = sorted(scene.workers[-1].children())
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def worker_dies(scene: Scene) -> None:
    """A whole worker at once, as with its machine; another is started."""
    scene.workers[-1].kill()
    scene.start_worker()


def head_dies(scene: Scene) -> None:
    """The main process of a worker alone: its children must not live on."""
    worker = scene.workers[-1]
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    scene.start_worker()


def worker_freezes(scene: Scene) -> None:
    """All of a worker stands still for a while."""
    worker = scene.workers[-1]
    worker.freeze()
    time.sleep(FROZEN)
    worker.thaw()


def deployment(scene: Scene) -> None:
    """New workers, then the old ones are told to end: SIGTERM."""
    _replace(scene, Worker.terminate)


def hasty_deployment(scene: Scene) -> None:
    """The same with SIGQUIT, which gives back what is not soon done."""
    _replace(scene, lambda worker: os.kill(worker.pid, signal.SIGQUIT))


def beat_dies(scene: Scene) -> None:
    """Beat, and nobody notices for a while."""
    for each in scene.beats:
        each.kill()
    time.sleep(FROZEN)
    scene.start_beat()


def two_beats(scene: Scene) -> None:
    """One too many, for a while."""
    other = scene.start_beat()
    time.sleep(FROZEN)
    _end(other)


def bot_dies(scene: Scene) -> None:
    """The bot, and another is started."""
    scene.kill_bot()
    scene.start_bot()


def bot_is_deployed(scene: Scene) -> None:
    """The bot is told to end, and another is started."""
    _end(scene.bot)
    scene.start_bot()


def power_fails(scene: Scene) -> None:
    """All processes of ours at once; all are started anew."""
    workers = len(scene.workers)
    scene.kill_bot()
    for each in [*scene.workers, *scene.beats]:
        each.kill()
    scene.start_bot()
    for _ in range(workers):
        scene.start_worker()
    scene.start_beat()


def _replace(scene: Scene, end: Callable[[Worker], None]) -> None:
    old = scene.workers
    for _ in old:
        scene.start_worker()
    for each in old:
        end(each)
    for each in old:
        each.wait(within=TASK_TIME_LIMIT)


def _end(process: Process) -> None:
    process.terminate()
    process.wait()
