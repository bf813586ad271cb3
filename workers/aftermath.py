"""The time after an outage: what went on without Postgres may still be about to be written.

Each process knows of the outages that it has met, in a task or between (:mod:`workers.lookout`).
"""

import time
from datetime import UTC, datetime

from db import leases, probe
from db.errors import DatabaseUnavailable, PoolExhausted
from db.records import Span
from workers.context import Context

_is_on = [False]
_ended: list[tuple[datetime, float]] = []
"""When each of the last ones was over: by Postgres' clock, and by this process's."""
_is_done_with = [datetime.min.replace(tzinfo=UTC)]
"""What was due before has been left alone for its time. It never is again: where Postgres comes
and goes, nobody would ever look at it."""


def is_outage(context: Context, error: DatabaseUnavailable) -> bool:
    """Whether requests are to go on without Postgres.

    Not where an operator has them wait; nor where Postgres is there, and only this process has no
    connection free.
    """
    return context.settings.database_outage == "proceed" and not isinstance(error, PoolExhausted)


def meet(context: Context, error: DatabaseUnavailable) -> bool:
    """Note that Postgres is away, or was for a task that is tried again.

    Whether requests are to go on without it. It is noted where they are to wait, too: a task may
    have done what it could not write.
    """
    _is_on[0] = _is_on[0] or not isinstance(error, PoolExhausted)
    return is_outage(context, error)


def look(context: Context) -> None:
    """Note that Postgres is back, if it was away. Raises DatabaseUnavailable where it still is."""
    if _is_on[0]:
        with context.database.autocommit() as conn:
            probe.require_writable(conn)
            _ended.append((leases.now(conn), time.monotonic()))
        _is_on[0] = False


def left_alone(context: Context) -> Span | None:
    """From when to when that was due which went on without Postgres, perhaps; None: nothing did.

    For a minute (twice RESCUE_AFTER_SECONDS) from the end of an outage on nobody but those who
    went on with it is to touch it.
    """
    lasts = 2 * context.settings.rescue_after_seconds
    while _ended and time.monotonic() > _ended[0][1] + lasts:
        _is_done_with[0], _ = _ended.pop(0)
    return (_is_done_with[0], _ended[-1][0]) if _ended else None


def is_recent(context: Context) -> bool:
    """Whether anything may have gone on without Postgres that is not written yet."""
    return _is_on[0] or left_alone(context) is not None
