"""The tokens of deferred answers, for as long as they live, and the progress told with them.

They are in a table of their own: no record of a request has them. A function takes the caller's
connection; every time is the database's clock.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, and_, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert

from db.records import Experience, ReplyTo
from db.requests import NOT_ENDED
from db.states import Status
from db.tables import reply_tokens, video_requests
from db.transitions import guarded_status

TOKEN_LIFE: Final = timedelta(minutes=15)
NEVER: Final = timedelta(0)
SAMPLE: Final = 200
"""Requests of the recent past that experience is made of."""
ENOUGH: Final = 20
"""Requests below which there is no experience to speak of."""

c = reply_tokens.c
r = video_requests.c


def keep(conn: Connection, request_id: UUID, reply_to: ReplyTo) -> None:
    """Keep the token of a request that is there. The first one stays."""
    kept = insert(reply_tokens).values(
        request_id=request_id,
        application_id=reply_to.application_id,
        token=reply_to.token,
        expires_at=func.now() + TOKEN_LIFE,
    )
    conn.execute(kept.on_conflict_do_nothing())


def close(conn: Connection, request_id: UUID) -> tuple[ReplyTo | None, timedelta]:
    """Tell no progress any more: the token, and how long an edit may still be under way.

    Of this and :func:`begin_telling` one waits for the other, and sees what it wrote.
    """
    closed = (
        update(reply_tokens)
        .where(c.request_id == request_id)
        .values(closed=True)
        .returning(
            c.application_id,
            c.token,
            (c.expires_at > func.now()).label("is_alive"),
            func.greatest(c.telling_until - func.now(), NEVER).label("busy"),
        )
    )
    found = conn.execute(closed).one_or_none()
    if found is None:
        return None, NEVER
    reply_to = ReplyTo(found.application_id, found.token) if found.is_alive else None
    return reply_to, found.busy or NEVER


def begin_telling(
    conn: Connection, request_ids: Collection[UUID], *, every: timedelta, at_most: timedelta
) -> dict[UUID, ReplyTo]:
    """Those of the requests whose progress is to be told now, with their tokens.

    That is when the status has changed since the last time, or when one is being made and `every`
    has passed. Who tells has `at_most` to do it in. Of those that have ended nothing is told.
    """
    begun = (
        update(reply_tokens)
        .where(
            c.request_id == r.id,
            r.id.in_(request_ids),
            guarded_status.in_(NOT_ENDED),
            ~c.closed,
            c.expires_at > func.now(),
            or_(
                c.told.is_distinct_from(r.status),
                and_(c.told == Status.GENERATING, c.told_at <= func.now() - every),
            ),
        )
        .values(told=r.status, told_at=func.now(), telling_until=func.now() + at_most)
        .returning(c.request_id, c.application_id, c.token)
    )
    return {row.request_id: ReplyTo(row.application_id, row.token) for row in conn.execute(begun)}


def end_telling(conn: Connection, request_ids: Collection[UUID]) -> None:
    """These edits have been answered: none of them is under way any more."""
    conn.execute(
        update(reply_tokens).where(c.request_id.in_(request_ids)).values(telling_until=None)
    )


def forget(conn: Connection, request_id: UUID) -> None:
    """The token is of no use any more."""
    conn.execute(delete(reply_tokens).where(c.request_id == request_id))


def forget_expired(conn: Connection) -> None:
    """Drop all tokens that are dead."""
    conn.execute(delete(reply_tokens).where(c.expires_at <= func.now()))


def experience(conn: Connection, model: str | None, duration_seconds: int) -> Experience | None:
    """What the last such requests have taken; None where there were too few to tell."""
    recent = (
        select((r.duration_ms / 1000.0).label("seconds"))
        .where(
            r.status == literal(Status.COMPLETED.value, literal_execute=True),
            r.model == model,
            r.duration_seconds == duration_seconds,
        )
        .order_by(r.completed_at.desc())
        .limit(SAMPLE)
        .subquery("recent")
    )
    number, half, most = conn.execute(
        select(
            func.count(),
            func.percentile_cont(0.5).within_group(recent.c.seconds),
            func.percentile_cont(0.95).within_group(recent.c.seconds),
        ).execution_options(query="experience")
    ).one()
    return Experience(half, most) if number >= ENOUGH else None
