"""Deleting requests that have ended, and keeping of them what limits and budgets still count.

That lies in ``request_remnants``, written by the statement that deletes, for retention and for
whoever wants to be forgotten. Every time is the database's clock.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

MESSAGES_LAST: Final = timedelta(hours=1)
"""How long a forgotten request stays as an empty row: the message that made it may come again
(after a worker's death, say), and must find it, or it would be made and paid for once more."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """A request that is to go, as far as it takes to remove its outputs."""

    id: UUID
    created_at: datetime
    gcs_prefix: str | None


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
    """Drop the remnants, counters and wishes to be forgotten that no window reaches back to.

    Four probes of indexes where there are none, so that it may be done every second; and at most
    a thousand remnants at once, for on the first of a month all of the last one's may lapse.
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
    ), of_users AS (
      DELETE FROM forgotten_users
      WHERE forgotten_at < remnants_begin_at(now())
    )
    DELETE FROM request_remnants
    WHERE ctid = ANY(ARRAY(
      SELECT ctid
      FROM request_remnants
      WHERE created_at < remnants_begin_at(now())
      ORDER BY created_at
      LIMIT 1000
      FOR UPDATE SKIP LOCKED
    ))
    """
).execution_options(query="lapse")
