"""What is kept of a user, told to them and forgotten at their wish. No limit gets any wider by it.

A function takes the caller's connection; the caller owns the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Connection, case, delete, func, select, update

from db import forgetting, quotas, requests, sent
from db.forgetting import HAS_ENDED, LEASE
from db.records import Event, LateResult, NewRequest, Request
from db.standing import Budget, Period, Scope, UserQuota
from db.states import Status
from db.tables import (
    budgets,
    late_results,
    reply_tokens,
    request_remnants,
    video_events,
    video_requests,
)

c = video_requests.c


@dataclass(frozen=True, slots=True)
class Remnant:
    """What limits and budgets still count of a request that is gone. The price is in dollars."""

    guild_id: str
    created_at: datetime
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that is kept of a user."""

    user_id: str
    exported_at: datetime
    #: The oldest first, those that were archived or deleted among them.
    requests: Sequence[Request]
    #: What was asked for and is no request yet.
    waiting: Sequence[NewRequest]
    #: Of all these requests, in the order they happened.
    events: Sequence[Event]
    #: Videos that missed their time, those among them that are still looked for.
    late_results: Sequence[LateResult]
    remnants: Sequence[Remnant]
    #: What an administrator has set for the user.
    quota: UserQuota | None
    budgets: Sequence[Budget]


@dataclass(frozen=True, slots=True)
class Marked:
    """What was emptied of a user."""

    requests: int
    #: Those of them that have not ended: to be cancelled, each in a transaction of its own.
    open_ids: Sequence[UUID]


def export(conn: Connection, user_id: str) -> Kept:
    """Everything that is kept of the user; nothing of what was to be forgotten."""
    is_theirs = (c.user_id == user_id, c.forgotten_at.is_(None))
    rows = conn.execute(
        select(video_requests).where(*is_theirs).order_by(c.created_at, c.id)
    ).mappings()
    happened = conn.execute(
        select(video_events)
        .join(video_requests, c.id == video_events.c.request_id)
        .where(*is_theirs)
        .order_by(video_events.c.id)
    ).mappings()
    late = late_results.c
    came_late = conn.execute(
        select(late.request_id, late.look_until, late.found_at, late.delivered_at)
        .join(video_requests, c.id == late.request_id)
        .where(*is_theirs)
        .order_by(c.created_at, c.id)
    )
    left = request_remnants.c
    remnants = conn.execute(
        select(left.guild_id, left.created_at, left.cost_usd)
        .where(left.user_id == user_id)
        .order_by(left.created_at)
    )
    own = budgets.c
    limits = conn.execute(
        select(own.period, own.limit_usd)
        .where(own.scope == Scope.USER, own.scope_id == user_id)
        .order_by(own.period)
    )
    return Kept(
        user_id=user_id,
        exported_at=conn.execute(select(func.now())).scalar_one(),
        requests=[requests.as_request(found) for found in rows],
        waiting=sent.of(conn, user_id),
        events=[Event(**found) for found in happened],
        late_results=[LateResult(*found) for found in came_late],
        remnants=[Remnant(*found) for found in remnants],
        quota=quotas.get(conn, user_id),
        budgets=[
            Budget(Scope.USER, user_id, Period(period), limit_usd) for period, limit_usd in limits
        ],
    )


def forget(
    conn: Connection, user_id: str, *, limit: int = 5000, at: datetime | None = None
) -> Marked:
    """Empty up to `limit` requests of the user, so that nobody reads any of it from here on.

    Prompt, channel, error, source, video addresses, events and the token of the answer go at
    once; of what is no row yet, all but its message in the queue. What is open has then to be
    cancelled; the rows, with the prefix of the outputs, go when these are removed:
    see :mod:`workers.privacy`. What an administrator has set for the user stays, or being forgotten
    would lift a ban. What was asked for before `at`, by the clock of whoever takes requests, and
    comes only now is not taken on; nobody knows of any where it is None. Wants a transaction; doing
    it again does no harm.
    """
    if at is not None:
        forgetting.remember(conn, user_id, at=at)
    is_theirs = (c.user_id == user_id, c.forgotten_at.is_(None))
    theirs = select(c.id).where(*is_theirs).limit(limit).cte("theirs")
    marked = (
        update(video_requests)
        .where(c.id == theirs.c.id)
        .values(
            forgotten_at=func.now(),
            deleted_at=func.coalesce(c.deleted_at, func.now()),
            **forgetting.EMPTIED,
            # What has ended is the caller's to remove for a while; the rest has its followers.
            due_at=case((HAS_ENDED, func.now() + LEASE), else_=c.due_at),
        )
        .returning(c.id, c.status)
        .execution_options(query="forget")
    )
    found = conn.execute(marked).all()
    sent.forget_of(conn, user_id)
    ids = [row.id for row in found]
    for table in (video_events, reply_tokens):
        conn.execute(delete(table).where(table.c.request_id.in_(ids)))
    return Marked(len(ids), [row.id for row in found if not Status(row.status).has_ended])
