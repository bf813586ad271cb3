"""Celery's beat, which ends when it is told to, wherever it may be."""

from types import FrameType
from typing import Any

from celery import platforms
from celery.apps import beat


class Beat(beat.Beat):
    """Celery's own, but for an end that is told while it waits for Redis.

    Celery raises SystemExit there, and redis-py turns it into an error like any other: its buffer
    is closed, and then wound back. Beat logs that, and would go on for ever.
    """

    def install_sync_handler(self, service: Any) -> None:
        """Have SIGTERM and Ctrl-C end it now, and if that is lost, after what it is at."""

        def end(_signal: int, _frame: FrameType | None) -> None:
            service.stop()
            raise SystemExit

        platforms.signals.update(SIGTERM=end, SIGINT=end)
