"""What retention reads and deletes (RE1): requests that have ended long ago, in short batches.

What limits and budgets still count of a deleted request stays in ``request_remnants``, written by
the statement that deletes it. A function takes the caller's connection; every time is the
database's clock.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, func, select, text, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from db.history import Place
from db.states import Status
from db.tables import video_requests

c = video_requests.c

ENDED: Final = tuple(status for status in Status if status.has_ended)

MESSAGES_LAST: Final = timedelta(hours=1)
"""How long a forgotten request stays as an empty row: the message that made it may come again
(after a worker's death, say), and must find it, or it would be made and paid for once more."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A request that is to go, as far as it takes to remove its outputs."""

    id: UUID
    created_at: datetime
    gcs_prefix: str | None


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


def remove(conn: Connection, request_ids: Collection[UUID], *, before: datetime | None) -> int:
    """Delete those of the requests that have ended, with their events; how many those were.

    And that were created `before` that, or are forgotten and older than MESSAGES_LAST. What is
    counted or billed within a window of the limits and budgets leaves a remnant: a place in the
    limits, and the price, 0 where the money was given back. No counter changes.
    """
    values = {"ids": list(request_ids), "before": before, "messages_last": MESSAGES_LAST}
    return int(conn.execute(_REMOVE, values).scalar_one())


_REMOVE: Final = (
    text(
        """
        WITH gone AS (
          DELETE FROM video_requests
          WHERE id = ANY(:ids)
            AND status IN ('completed', 'failed', 'timeout')
            AND (
              created_at < :before
              OR (forgotten_at IS NOT NULL AND created_at < now() - :messages_last)
            )
          RETURNING
            user_id,
            guild_id,
            created_at,
            counted,
            CASE WHEN billed THEN coalesce(cost_usd, 0) ELSE 0 END AS cost_usd
        ), remnants AS (
          INSERT INTO request_remnants (user_id, guild_id, created_at, cost_usd)
          SELECT user_id, guild_id, created_at, cost_usd
          FROM gone
          WHERE created_at >= remnants_begin_at(now())
            AND (counted OR cost_usd > 0)
        )
        SELECT count(*)
        FROM gone
        """
    )
    .bindparams(bindparam("ids", type_=ARRAY(Uuid)))
    .execution_options(query="remove_requests")
)


def lapse(conn: Connection) -> None:
    """Drop the remnants and counters that no window counts any more.

    Three probes of indexes where there are none, so that it may be done every second.
    """
    conn.execute(_LAPSE)


_LAPSE: Final = text(
    """
    WITH of_days AS (
      DELETE FROM budget_spending
      WHERE period = 'day'
        AND period_start < video_period_start('day', now() - interval '1 hour')
    ), of_months AS (
      DELETE FROM budget_spending
      WHERE period = 'month'
        AND period_start < video_period_start('month', now() - interval '1 hour')
    )
    DELETE FROM request_remnants
    WHERE created_at < remnants_begin_at(now())
    """
).execution_options(query="lapse")
