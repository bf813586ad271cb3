"""What beat sends, and when."""

from typing import Any, Final

from celery.schedules import crontab

from workers.settings import WorkerSettings

SWEEP_EVERY: Final = 1.0
"""Seconds."""
CLEAN_UP_AT: Final = crontab(hour=3, minute=30)
"""Early in the morning, UTC."""
DAY: Final = 24 * 3600
"""Seconds."""


def schedule(settings: WorkerSettings) -> dict[str, Any]:
    """The periodic tasks; a cleanup only where it is said how long requests are kept (RE1)."""
    found: dict[str, Any] = {
        "sweep": {
            "task": "sweep",
            "schedule": SWEEP_EVERY,
            "options": {"expires": 2 * SWEEP_EVERY},
        }
    }
    if settings.retention is not None:
        # What no worker has taken up by the next one is not asked for twice.
        options = {"expires": DAY - 3600}
        found["cleanup"] = {"task": "cleanup", "schedule": CLEAN_UP_AT, "options": options}
    return found
