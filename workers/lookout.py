"""Each process of a worker looks for itself whether Postgres is there: every second, between tasks.

Celery gives the tasks of a quiet worker to one of its processes, always the same one. What the
others have seen last (:mod:`workers.memory`) is nobody's but theirs to have go on, and what went on
meanwhile is theirs to leave alone afterwards (:mod:`workers.aftermath`).
"""

import signal
import threading
import time
from typing import Any, Final

import structlog
from celery import signals

from db import probe
from db.errors import DatabaseUnavailable
from workers import aftermath, memory, outage
from workers.context import Context, context
from workers.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

EVERY: Final = 1.0
"""Seconds from the end of a look to the next."""
at_work: Final = threading.Lock()
"""Held by a task while it runs, and by a look: neither finds what the other has half done."""


class Lookout:
    """What a process knows of Postgres without any task."""

    def __init__(self) -> None:
        self._away: DatabaseUnavailable | None = None
        self._ask_at = 0.0

    def look(self, context: Context) -> None:
        """Have what is due go on without Postgres, if it is away. Raises BrokerUnavailable.

        A Postgres that did not answer is not asked again for thrice as long as that took: one that
        stands still would have no task run.
        """
        if time.monotonic() >= self._ask_at:
            self._ask(context)
        if self._away is not None:
            outage.take_over_seen(context, self._away)
        elif not aftermath.is_recent(context):
            memory.prune()

    def _ask(self, context: Context) -> None:
        began = time.monotonic()
        try:
            with context.database.autocommit() as conn:
                probe.require_writable(conn)
            aftermath.look(context)
        except DatabaseUnavailable as error:
            self._away = error
            now = time.monotonic()
            self._ask_at = now + 3 * (now - began)
        else:
            self._away = None


@signals.worker_process_init.connect
def begin(**_: Any) -> None:
    """Look from now on, in a thread that ends with its process."""
    threading.Thread(target=go_on, name="lookout", daemon=True).start()


def go_on() -> None:
    """Look for as long as the process lives."""
    # They are for the main thread, which waits for a task and is woken by them.
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    lookout = Lookout()
    while True:
        try:
            with at_work:
                lookout.look(context())
        except BrokerUnavailable as error:
            log.warning("lookout_failed", reason=str(error))
        except Exception:
            # The next look may fare better, and without any nothing would go on.
            log.exception("lookout_failed")
        time.sleep(EVERY)
