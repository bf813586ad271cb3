"""What is left to do for users who were forgotten (:func:`db.privacy.forget`), step by step.

A function takes the caller's connection; the caller owns the transaction.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, exists, func, null, select, text, update

from db.removal import MESSAGES_LAST, Leaving
from db.states import ENDED
from db.tables import late_results, video_events, video_requests

c = video_requests.c

LEASE: Final = timedelta(minutes=1)
"""How long the one who takes forgotten requests up has, before the sweeper does."""

HAS_ENDED: Final = c.status.in_(ENDED)


def ended(conn: Connection, user_id: str) -> list[UUID]:
    """The forgotten requests of a user that have ended."""
    found = select(c.id).where(c.user_id == user_id, c.forgotten_at.is_not(None), HAS_ENDED)
    return list(conn.execute(found).scalars())


def leaving(conn: Connection, request_ids: Collection[UUID]) -> list[Leaving]:
    """Those of the requests that are forgotten and have ended."""
    found = select(c.id, c.created_at, c.gcs_prefix).where(
        c.id.in_(request_ids), c.forgotten_at.is_not(None), HAS_ENDED
    )
    return [Leaving(*row) for row in conn.execute(found)]


def over(conn: Connection, request_ids: Collection[UUID]) -> list[UUID]:
    """Those of the requests for whose videos nobody looks any more: nothing can appear."""
    late = late_results.c
    is_awaited = exists().where(late.request_id == c.id, late.look_until > func.now())
    found = select(c.id).where(c.id.in_(request_ids), ~is_awaited)
    return list(conn.execute(found).scalars())


def keep_empty(conn: Connection, request_ids: Collection[UUID]) -> None:
    """Note that the outputs of forgotten requests are gone; the row goes after MESSAGES_LAST.

    One that has timed out stays as long as its video is looked for; what appears is removed then,
    before the row goes.
    """
    late = late_results.c
    until = select(late.look_until).where(late.request_id == c.id).scalar_subquery()
    conn.execute(
        update(video_requests)
        .where(c.id.in_(request_ids), c.forgotten_at.is_not(None), HAS_ENDED)
        .values(
            gcs_prefix=null(),
            video_urls=null(),
            operation_name=null(),
            due_at=func.greatest(c.created_at + MESSAGES_LAST, until),
        )
    )
    conn.execute(delete(video_events).where(video_events.c.request_id.in_(request_ids)))


def take(conn: Connection, *, limit: int, lease: timedelta = LEASE) -> list[UUID]:
    """Up to `limit` forgotten requests that have ended and are to be removed now.

    Nobody else gets them for the length of `lease`. After its end a request's due time is this.
    """
    values = {"limit": limit, "lease": lease}
    return list(conn.execute(_TAKE, values).scalars())


_TAKE: Final = text(
    """
    WITH waiting AS (
      SELECT id
      FROM video_requests
      WHERE forgotten_at IS NOT NULL
        AND status IN ('completed', 'failed', 'timeout')
        AND (due_at IS NULL OR due_at <= now())
      ORDER BY forgotten_at
      LIMIT :limit
      FOR UPDATE SKIP LOCKED
    )
    UPDATE video_requests AS request
    SET due_at = now() + :lease
    FROM waiting
    WHERE request.id = waiting.id
    RETURNING request.id
    """
).execution_options(query="forgotten_requests")
