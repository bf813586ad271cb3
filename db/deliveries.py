"""Who delivers the answer to a request that has ended, and how that went (DESIGN, 8).

A video that appears after the timeout is delivered by itself, with a record of its own. A function
takes the caller's connection; the caller owns the transaction. Every time is the database's clock.
The lease of a delivery has columns of its own: shared with the sweeper's other work, it lost
records.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Table,
    exists,
    func,
    or_,
    select,
    update,
)

from db import events, leases, replies, requests
from db.events import EventType
from db.records import Delivery, Span
from db.tables import late_results, video_requests


@dataclass(frozen=True, slots=True)
class Record:
    """Where it is written how a delivery stands: in which table, and by which id."""

    table: Table
    id: Column[UUID]
    is_late: bool = False

    @property
    def is_open(self) -> tuple[ColumnElement[bool], ...]:
        """Nobody has delivered, or given it up; what is late comes after the first answer."""
        c = self.table.c
        is_open = (c.delivered_at.is_(None), c.delivery_due_at.is_not(None))
        if not self.is_late:
            return is_open
        first = video_requests.c
        is_first_open = exists().where(first.id == self.id, first.delivery_due_at.is_not(None))
        return (*is_open, ~is_first_open)


ANSWER: Final = Record(video_requests, video_requests.c.id)
LATE: Final = Record(late_results, late_results.c.request_id, is_late=True)
_OVER: Final = {"delivery_due_at": None, "delivery_claim": None}


def claim(
    conn: Connection, request_id: UUID, claim: UUID, *, lease: timedelta, record: Record = ANSWER
) -> Delivery | None:
    """Take the right to deliver; None where it is not to be had (any more).

    It is had by one task at a time: by whoever comes first, by the same task again (whose message
    came back because its process had died), or by another when the lease is over. From here on no
    progress is told. Wants a transaction of its caller's.
    """
    c = record.table.c
    claimed = (
        update(record.table)
        .where(
            record.id == request_id,
            *record.is_open,
            or_(
                c.delivery_claim.is_(None),
                c.delivery_claim == claim,
                c.delivery_due_at <= func.now(),
            ),
        )
        .values(
            delivery_claim=claim,
            delivery_due_at=func.now() + lease,
            delivery_attempts=c.delivery_attempts + 1,
        )
        .returning(c.delivery_attempts)
    )
    attempts = conn.execute(claimed).scalar_one_or_none()
    request = requests.get(conn, request_id)
    if attempts is None or request is None:
        return None
    return Delivery(request, attempts, *replies.close(conn, request_id))


def delivered(
    conn: Connection,
    request_id: UUID,
    told: dict[str, Any],
    *,
    record: Record = ANSWER,
    at: datetime | None = None,
) -> bool:
    """Write that the answer is there, with its event; False where somebody wrote it before.

    It is there since `at`, or since now.

    The claim is not asked for: what was sent was sent. Wants a transaction of its caller's.
    """
    written = (
        update(record.table)
        .where(record.id == request_id, record.table.c.delivered_at.is_(None))
        .values(delivered_at=at or func.now(), **_OVER)
        .returning(record.id)
    )
    if conn.execute(written).one_or_none() is None:
        return False
    replies.forget_unless_late(conn, request_id)
    events.record(conn, request_id, EventType.DELIVERED, told, at=at)
    return True


def park(
    conn: Connection,
    request_id: UUID,
    claim: UUID,
    *,
    due_in: timedelta,
    told: dict[str, Any],
    record: Record = ANSWER,
) -> None:
    """Have the delivery tried again after `due_in`. Wants a transaction of its caller's."""
    parked = (
        update(record.table)
        .where(record.id == request_id, record.table.c.delivery_claim == claim, *record.is_open)
        .values(delivery_claim=None, delivery_due_at=func.now() + due_in)
        .returning(record.id)
    )
    if conn.execute(parked).one_or_none() is not None:
        events.record(conn, request_id, EventType.DELIVERY_FAILED, told | {"gave_up": False})


def give_up(
    conn: Connection,
    request_id: UUID,
    claim: UUID,
    told: dict[str, Any],
    *,
    record: Record = ANSWER,
) -> None:
    """Have nobody try again, and say why. Wants a transaction of its caller's."""
    if _settle(conn, request_id, claim, record):
        events.record(conn, request_id, EventType.DELIVERY_FAILED, told | {"gave_up": True})


def drop(conn: Connection, request_id: UUID, claim: UUID, *, record: Record = ANSWER) -> None:
    """Deliver nothing, for nobody is to see it. Wants a transaction of its caller's."""
    _settle(conn, request_id, claim, record)


def _settle(conn: Connection, request_id: UUID, claim: UUID, record: Record) -> bool:
    settled = (
        update(record.table)
        .where(record.id == request_id, record.table.c.delivery_claim == claim, *record.is_open)
        .values(**_OVER)
        .returning(record.id)
    )
    replies.forget(conn, request_id)
    return conn.execute(settled).one_or_none() is not None


def take_due(
    conn: Connection,
    *,
    limit: int,
    lease: timedelta,
    due_by: datetime | None = None,
    left_alone: Span | None = None,
    record: Record = ANSWER,
) -> list[UUID]:
    """Up to `limit` requests whose answers nobody has delivered, the longest due first.

    For the length of `lease` no other sweep gets them. Whoever had the right before has lost it.
    Those that became due after `due_by`, or within `left_alone`, are left as they are.
    """
    c = record.table.c
    due = (
        select(record.id.label("id"))
        .where(
            c.delivery_due_at <= func.least(func.now(), due_by),
            leases.is_outside(c.delivery_due_at, left_alone),
            *record.is_open,
        )
        .order_by(c.delivery_due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = (
        update(record.table)
        .where(record.id == due.c.id)
        .values(delivery_claim=None, delivery_due_at=func.now() + lease)
        .returning(record.id)
    )
    return list(conn.execute(taken).scalars())
