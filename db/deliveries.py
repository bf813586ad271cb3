"""Who delivers the answer to a request that has ended, and how that went (DESIGN, 8).

A function takes the caller's connection; the caller owns the transaction. Every time is the
database's clock. The lease of a delivery has columns of its own: shared with the sweeper's other
work, it lost records.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, func, or_, select, update

from db import events, replies
from db.events import EventType
from db.records import Delivery
from db.requests import as_request
from db.tables import video_requests

c = video_requests.c

_IS_OPEN: Final = (c.delivered_at.is_(None), c.delivery_due_at.is_not(None))
_OVER: Final = {"delivery_due_at": None, "delivery_claim": None}


def claim(conn: Connection, request_id: UUID, claim: UUID, *, lease: timedelta) -> Delivery | None:
    """Take the right to deliver; None where it is not to be had (any more).

    It is had by one task at a time: by whoever comes first, by the same task again (whose message
    came back because its process had died), or by another when the lease is over. From here on no
    progress is told. Wants a transaction of its caller's.
    """
    claimed = (
        update(video_requests)
        .where(
            c.id == request_id,
            *_IS_OPEN,
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
        .returning(video_requests)
    )
    found = conn.execute(claimed).mappings().one_or_none()
    if found is None:
        return None
    return Delivery(as_request(found), *replies.close(conn, request_id))


def delivered(conn: Connection, request_id: UUID, told: dict[str, Any]) -> bool:
    """Write that the answer is there, with its event; False where somebody wrote it before.

    The claim is not asked for: what was sent was sent. Wants a transaction of its caller's.
    """
    written = (
        update(video_requests)
        .where(c.id == request_id, c.delivered_at.is_(None))
        .values(delivered_at=func.now(), **_OVER)
        .returning(c.id)
    )
    if conn.execute(written).one_or_none() is None:
        return False
    replies.forget(conn, request_id)
    events.record(conn, request_id, EventType.DELIVERED, told)
    return True


def park(
    conn: Connection, request_id: UUID, claim: UUID, *, due_in: timedelta, told: dict[str, Any]
) -> None:
    """Have the delivery tried again after `due_in`. Wants a transaction of its caller's."""
    parked = (
        update(video_requests)
        .where(c.id == request_id, c.delivery_claim == claim, *_IS_OPEN)
        .values(delivery_claim=None, delivery_due_at=func.now() + due_in)
        .returning(c.id)
    )
    if conn.execute(parked).one_or_none() is not None:
        events.record(conn, request_id, EventType.DELIVERY_FAILED, told | {"gave_up": False})


def give_up(conn: Connection, request_id: UUID, claim: UUID, told: dict[str, Any]) -> None:
    """Have nobody try again, and say why. Wants a transaction of its caller's."""
    if _settle(conn, request_id, claim):
        events.record(conn, request_id, EventType.DELIVERY_FAILED, told | {"gave_up": True})


def drop(conn: Connection, request_id: UUID, claim: UUID) -> None:
    """Deliver nothing, for nobody is to see it. Wants a transaction of its caller's."""
    _settle(conn, request_id, claim)


def _settle(conn: Connection, request_id: UUID, claim: UUID) -> bool:
    settled = (
        update(video_requests)
        .where(c.id == request_id, c.delivery_claim == claim, *_IS_OPEN)
        .values(**_OVER)
        .returning(c.id)
    )
    replies.forget(conn, request_id)
    return conn.execute(settled).one_or_none() is not None


def take_due(conn: Connection, *, limit: int, lease: timedelta) -> list[UUID]:
    """Up to `limit` requests whose answers nobody has delivered, the longest due first.

    For the length of `lease` no other sweep gets them. Whoever had the right before has lost it.
    """
    due = (
        select(c.id)
        .where(c.delivery_due_at <= func.now())
        .order_by(c.delivery_due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = (
        update(video_requests)
        .where(c.id == due.c.id)
        .values(delivery_claim=None, delivery_due_at=func.now() + lease)
        .returning(c.id)
    )
    return list(conn.execute(taken).scalars())
