"""What is told of a request before it ends: whom, when, and what such requests have taken (DC2).

A function takes the caller's connection; every time is the database's clock.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, and_, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import array

from db.leases import IN_LINE
from db.records import Experience, ReplyTo
from db.requests import NOT_ENDED
from db.states import Status
from db.tables import reply_tokens, video_requests
from db.transitions import guarded_status

SAMPLE: Final = 200
"""Requests of the recent past that experience is made of."""
RECENT: Final = timedelta(days=7)
"""How far that past goes back."""
ENOUGH: Final = 20
"""Requests below which there is no experience to speak of."""
SHARES: Final = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
"""Of these requests, the parts of which it says how long they took."""

c = reply_tokens.c
r = video_requests.c


def begin_telling(
    conn: Connection, request_ids: Collection[UUID], *, every: timedelta, at_most: timedelta
) -> dict[UUID, ReplyTo]:
    """Those of the requests whose progress is to be told now, with their tokens.

    That is when the status has changed since the last time, or when one is being made or stands
    in line and `every` has passed. Who tells has `at_most` to do it in, and no edit overtakes
    another. Of those that have ended nothing is told.
    """
    begun = (
        update(reply_tokens)
        .where(
            c.request_id == r.id,
            r.id.in_(request_ids),
            guarded_status.in_(NOT_ENDED),
            ~c.closed,
            c.expires_at > func.now(),
            or_(c.telling_until.is_(None), c.telling_until <= func.now()),
            or_(
                c.told.is_distinct_from(r.status),
                and_(
                    or_(c.told == Status.GENERATING, r.due_at == IN_LINE),
                    c.told_at <= func.now() - every,
                ),
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


def in_front(conn: Connection, *, first: int, every: timedelta) -> list[UUID]:
    """Of the `first` that stand in line, those who were told nothing for so long."""
    front = (
        select(r.id)
        .where(
            r.status == literal(Status.PENDING.value, literal_execute=True),
            r.claim.is_(None),
            r.due_at == IN_LINE,
        )
        .order_by(r.fair_at)
        .limit(first)
        .subquery("front")
    )
    found = (
        select(front.c.id)
        .join(reply_tokens, c.request_id == front.c.id)
        .where(
            ~c.closed,
            c.expires_at > func.now(),
            or_(c.told_at.is_(None), c.told_at <= func.now() - every),
        )
        .execution_options(query="in_front")
    )
    return list(conn.execute(found).scalars())


def experience(conn: Connection, model: str | None, duration_seconds: int) -> Experience | None:
    """What the last such requests have taken; None where there were too few to tell."""
    recent = (
        select((r.duration_ms / 1000.0).label("seconds"))
        .where(
            r.status == literal(Status.COMPLETED.value, literal_execute=True),
            r.model == model,
            r.duration_seconds == duration_seconds,
            r.completed_at > func.now() - RECENT,
        )
        .order_by(r.completed_at.desc())
        .limit(SAMPLE)
        .subquery("recent")
    )
    number, taken = conn.execute(
        select(
            func.count(),
            func.percentile_cont(array(SHARES)).within_group(recent.c.seconds),
        ).execution_options(query="experience")
    ).one()
    if number < ENOUGH:
        return None
    quantiles = dict(zip(SHARES, taken, strict=True))
    return Experience(quantiles[0.5], quantiles[0.95], tuple(quantiles.items()))
