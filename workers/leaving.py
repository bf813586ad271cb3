"""A worker that is to end is gone in time, whatever holds it up.

Celery's way out waits for the pool's processes, and for what they have left to say, for as long as
that takes: one that cannot end, or a pipe that something has gone wrong with, keeps a worker that
takes no work any more, and that nobody replaces.
"""

import faulthandler
from functools import cache
from typing import Final

from celery import signals
from celery.apps import worker

from workers.app import TASK_TIME_LIMIT

WITHIN: Final = TASK_TIME_LIMIT + 15
"""Seconds from the begin of the end. A task that runs is killed at its time limit; then its process
may wait for its last result (:mod:`workers.process`), and Redis for what is to be given back.
"""

STDERR: Final = 2
"""Where the log goes, whatever Celery has put into ``sys.stderr``."""


class Worker(worker.Worker):
    """Celery's own, but for its end."""

    def stop(self, in_sighandler: bool = False, exitcode: int | None = None) -> None:  # noqa: FBT002 -- Celery's
        """End: asked to, or after an error that Celery cannot go on with."""
        begin()
        super().stop(in_sighandler, exitcode)

    def terminate(self, in_sighandler: bool = False) -> None:  # noqa: FBT002 -- Celery's
        """End soon."""
        begin()
        super().terminate(in_sighandler)


@signals.worker_shutting_down.connect
def _asked(**_: object) -> None:
    # Whatever holds up the main process may keep it from ever looking at what it is asked.
    begin()


@cache  # Whoever asks again has no longer to wait.
def begin() -> None:
    """Say where this process stands, and end it with 1, if it has not ended by itself in time.

    Its children go with it, as when it is killed. What it holds comes back after the visibility
    timeout. That takes neither a lock nor Python's own, so a signal may begin it.
    """
    faulthandler.dump_traceback_later(WITHIN, exit=True, file=STDERR)
