"""A worker's process: what it checks before it starts, and the timer that keeps it sweeping."""

import sys
from typing import Any, Final

import structlog
from billiard import pool
from celery import bootsteps, signals
from celery.worker import WorkController
from kombu.exceptions import OperationalError

from db import migrate
from db.engine import connect_at_startup
from db.errors import DatabaseUnavailable
from db.migrate import MigrationError
from db.settings import DatabaseSettings, SettingsError, read, require
from workers import checks, providers, results, retirement
from workers.app import app
from workers.findings import Wrong
from workers.logs import configure
from workers.schedule import SWEEP_EVERY
from workers.settings import DiscordSettings, LogSettings, WorkerSettings

log = structlog.get_logger(__name__)

LAST_RESULT: Final = 5.0
"""Seconds that a child which is to end waits for its last result to be read: ten of the looks that
the main process takes while it waits for its children.

Of a task that begins as the worker ends, or loses Redis, Celery knows nothing any more, and reads
nothing; its message comes again. By default the child, and all who wait for the worker's end, would
wait for 30 s then.
"""

pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(
    LAST_RESULT / pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
)

results.use()


class SweepTimer(bootsteps.StartStopStep):
    """Sends a sweep every second, so that the death of beat stops nothing."""

    requires = ("celery.worker.components:Timer",)

    def __init__(self, parent: WorkController, **options: Any) -> None:
        super().__init__(parent, **options)
        self._entry: Any = None

    def start(self, parent: WorkController) -> None:
        """Begin."""
        timer: Any = parent.timer
        self._entry = timer.call_repeatedly(SWEEP_EVERY, self._send)

    def stop(self, parent: WorkController) -> None:
        """End."""
        del parent
        if self._entry is not None:
            self._entry.cancel()

    @staticmethod
    def _send() -> None:
        try:
            app.send_task("sweep", expires=2 * SWEEP_EVERY, retry=False)
        except OperationalError as error:
            log.warning("sweep_not_sent", reason=type(error).__name__)


app.steps["worker"].add(SweepTimer)


@signals.worker_init.connect
def _check_before_starting(**_: Any) -> None:
    """Stop at once when settings, Postgres or the provider's libraries are not there (DG4)."""
    try:
        require(DatabaseSettings, WorkerSettings, DiscordSettings, LogSettings)
        configure(read(LogSettings))
        database = read(DatabaseSettings)
        connect_at_startup(database).close()
        pending = migrate.status(database.url).pending
        retirement.warn(providers.load(read(WorkerSettings)))
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None
    except (DatabaseUnavailable, MigrationError) as error:
        log.error("database_connection_failed", reason=str(error))
        raise SystemExit(1) from None
    if pending:
        log.error("database_not_migrated", pending=pending, remedy="video-bot db migrate")
        raise SystemExit(1)
    _look_at_folder()


def _look_at_folder() -> None:
    """Say it at once where videos cannot be kept. Requests wait for that, so nothing ends."""
    if read(WorkerSettings).video_storage != "folder":
        # A storage of somebody else's is asked for by what needs it.
        return
    try:
        checks.videos()
    except Wrong as wrong:
        log.error("storage_unusable", reason=str(wrong), remedy=wrong.remedy)
