"""What all tasks have in common: when they are tried again, and what their lines tell."""

import time
from typing import Any, Final

from celery import Task
from celery.exceptions import Reject
from kombu.exceptions import OperationalError
from structlog.contextvars import bind_contextvars, clear_contextvars

from db.errors import DatabaseUnavailable, LaterRelease
from workers import lookout
from workers.errors import BrokerUnavailable

PAUSE: Final = 1.0
"""Seconds before a message comes again of which Redis took no next one."""


class RequestTask(Task[Any, Any]):
    """A task that may be tried again for as long as it takes."""

    autoretry_for = (DatabaseUnavailable, BrokerUnavailable, LaterRelease)
    max_retries = None
    retry_backoff = 1
    retry_backoff_max = 30
    retry_jitter = True
    # Nothing is returned, and nothing that were returned by mistake would show.
    resultrepr_maxsize = 8

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Carry it out, while nothing else goes on in this process."""
        with lookout.at_work:
            return super().__call__(*args, **kwargs)

    def retry(self, *args: Any, **kwargs: Any) -> Any:
        """Celery's own, but a message of which Redis takes no next one is kept, and comes again."""
        try:
            return super().retry(*args, **kwargs)
        except Reject as error:
            # The stubs do not tell what it is made of.
            reason, *_ = error.args
            if not isinstance(reason, OperationalError):
                # It cannot be sent at all.
                raise
            # It may come again at once.
            time.sleep(PAUSE)
            raise Reject(reason, requeue=True) from None

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Have every line of this task tell which task and which request it is about."""
        del kwargs
        clear_contextvars()
        bind_contextvars(task=self.name, task_id=task_id)
        if args and isinstance(args[0], str):
            bind_contextvars(request_id=args[0])
