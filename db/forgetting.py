"""What is left to do for users who were forgotten (:func:`db.privacy.forget`), step by step.

A function takes the caller's connection; the caller owns the transaction.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, delete, exists, func, null, select, text, update
from sqlalchemy.dialects.postgresql import insert

from db.keeping import CANCELLED
from db.removal import MESSAGES_LAST, Leaving
from db.states import ENDED
from db.tables import forgotten_users, late_results, video_events, video_requests

c = video_requests.c

EMPTIED: Final = {
    "prompt": "",
    "negative_prompt": null(),
    "seed": null(),
    "channel_id": "",
    "error_message": null(),
    "source_id": null(),
    "video_urls": null(),
}
"""What is left of a forgotten request in place of what was its user's."""

LEASE: Final = timedelta(minutes=1)
"""How long the one who takes forgotten requests up has, before the sweeper does."""

HAS_ENDED: Final = c.status.in_(ENDED)


def remember(conn: Connection, user_id: str, *, at: datetime) -> None:
    """Note that the user is forgotten: what was asked for before `at` is not written any more.

    Wants a transaction, and to be its first statement: from here on to its end no request of the
    user's is admitted.
    """
    _alone(conn, user_id)
    known = insert(forgotten_users).values(user_id=user_id, forgotten_at=at)
    latest = func.greatest(forgotten_users.c.forgotten_at, known.excluded.forgotten_at)
    conn.execute(
        known.on_conflict_do_update(index_elements=["user_id"], set_={"forgotten_at": latest})
    )


def is_forgotten(conn: Connection, user_id: str, *, since: datetime) -> bool:
    """Whether the user was forgotten since. Until the caller's transaction ends, it stays so."""
    _alone(conn, user_id)
    theirs = forgotten_users.c.user_id == user_id, forgotten_users.c.forgotten_at >= since
    return bool(conn.execute(select(exists().where(*theirs))).scalar_one())


def _alone(conn: Connection, user_id: str) -> None:
    """Take the lock of the user's admissions."""
    conn.execute(_LOCK, {"user": f"admit {user_id}"})


_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:user, 0))")


def ended(conn: Connection, user_id: str) -> list[UUID]:
    """The forgotten requests of a user that have ended, and may have outputs."""
    was_made = c.error_code.is_distinct_from(CANCELLED)
    found = select(c.id).where(
        c.user_id == user_id, c.forgotten_at.is_not(None), HAS_ENDED, was_made
    )
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
