"""What retention finds to delete (RE1): requests that have ended long ago, in short batches.

A function takes the caller's connection; every time is the database's clock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select, text, tuple_

from db.history import Place
from db.removal import Leaving
from db.states import Status
from db.tables import video_requests

c = video_requests.c


@dataclass(frozen=True, slots=True)
class Old:
    """How many requests of one state are older than a cutoff, and how many outputs they name."""

    status: Status
    requests: int
    outputs: int
    oldest_at: datetime
    newest_at: datetime


@contextmanager
def alone(conn: Connection) -> Iterator[bool]:
    """Whether the caller is the only one who cleans up, for the block. Wants autocommit.

    The lock is the connection's own, so that work and lock end together, whatever dies. Nor does
    a batch wait for the disk: what a crash takes back is found and deleted by the next run.
    """
    is_alone = conn.execute(_LOCK).scalar_one()
    try:
        if is_alone:
            conn.execute(text("SET synchronous_commit = off"))
        yield is_alone
        if is_alone:
            conn.execute(text("RESET synchronous_commit"))
            conn.execute(_UNLOCK)
    except BaseException:
        # Nobody else is to get this connection with the lock on it.
        conn.invalidate()
        raise


_LOCK: Final = text("SELECT pg_try_advisory_lock(hashtextextended('cleanup', 0))")
_UNLOCK: Final = text("SELECT pg_advisory_unlock(hashtextextended('cleanup', 0))")


def cutoff(conn: Connection, age: timedelta) -> datetime:
    """The moment before which requests are older than `age`."""
    return conn.execute(select(func.now() - age)).scalar_one()


def old(
    conn: Connection, status: Status, before: datetime, *, after: Place | None, limit: int
) -> list[Leaving]:
    """Requests that ended as `status` and were created before that, the oldest first.

    `after` is where the last batch ended: what it has deleted is not walked through again.
    """
    found = (
        select(c.id, c.created_at, c.gcs_prefix)
        .where(c.status == status, c.created_at < before)
        .order_by(c.created_at, c.id)
        .limit(limit)
        .execution_options(query="old_requests")
    )
    if after is not None:
        found = found.where(
            # The first condition is the index's, the second is for requests of one moment.
            c.created_at >= after.created_at,
            tuple_(c.created_at, c.id) > (after.created_at, after.id),
        )
    return [Leaving(*row) for row in conn.execute(found)]


def survey(conn: Connection, before: datetime) -> list[Old]:
    """What a cleanup would delete, by state. Reads every entry: seconds for a million."""
    found = conn.execute(_SURVEY, {"before": before})
    return [Old(Status(status), *rest) for status, *rest in found]


_SURVEY: Final = text(
    """
    SELECT
      status,
      count(*),
      coalesce(sum(cardinality(video_urls)), 0),
      min(created_at),
      max(created_at)
    FROM video_requests
    WHERE status IN ('completed', 'failed', 'timeout')
      AND created_at < :before
    GROUP BY status
    ORDER BY status
    """
).execution_options(query="cleanup_survey")
