"""Videos that appear after their request has timed out (EV1): looked for, found, told of.

The transition to ``timeout`` writes that one is to be looked for. The request itself stays as it
ended; only where its video lies, and that it was billed, is written to it. A function takes the
caller's connection; the caller owns the transaction. Every time is the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, Interval, Uuid, and_, case, delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import ARRAY

from db import events, replies
from db.events import EventType
from db.records import Missing
from db.states import Status
from db.tables import late_results, video_requests
from db.telling import once_it_stands
from db.transitions import DELIVERY_GRACE, IS_SNOWFLAKE, guarded_status

log = structlog.get_logger(__name__)

c = late_results.c
r = video_requests.c

_IS_TO_BE_TOLD: Final = and_(IS_SNOWFLAKE, r.deleted_at.is_(None))


def take_due(conn: Connection, *, limit: int, lease: timedelta) -> list[UUID]:
    """Up to `limit` requests whose videos are to be looked for now, the longest due first.

    Nobody else gets them for the length of `lease`. The look is counted here, so that one that
    kills is made ever more seldom, too.
    """
    due = (
        select(c.request_id)
        .where(c.due_at <= func.now())
        .order_by(c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    taken = (
        update(late_results)
        .where(c.request_id == due.c.request_id)
        .values(due_at=func.now() + lease, attempts=c.attempts + 1)
        .returning(c.request_id)
    )
    return list(conn.execute(taken).scalars())


def missing(conn: Connection, request_ids: Collection[UUID]) -> list[Missing]:
    """Those of the requests whose videos have not been found."""
    sought = (
        select(r.id, r.gcs_prefix, c.attempts)
        .join(video_requests, r.id == c.request_id)
        .where(c.request_id.in_(request_ids), c.due_at.is_not(None))
    )
    return [Missing(*found) for found in conn.execute(sought)]


def park(conn: Connection, delays: Mapping[UUID, timedelta]) -> None:
    """Have each looked for again after its delay, a last time when its time is up.

    After that look there is no other, and nothing is left of it here.
    """
    if not delays:
        return
    is_over = (c.due_at.is_not(None), c.look_until <= func.now())
    conn.execute(delete(late_results).where(c.request_id.in_(delays), *is_over))
    ids = literal(list(delays), ARRAY(Uuid))
    times = literal(list(delays.values()), ARRAY(Interval))
    waiting = func.unnest(ids, times).table_valued("id", "delay", name="waiting").render_derived()
    conn.execute(
        update(late_results)
        .where(c.request_id == waiting.c.id, c.due_at.is_not(None))
        .values(due_at=func.least(func.now() + waiting.c.delay, c.look_until))
    )


def shown(
    conn: Connection, request_id: UUID, gcs_prefix: str, video_urls: Sequence[str], *, at: datetime
) -> None:
    """Write that whoever asked has been given it in place of the first answer: no other follows.

    Wants a transaction of its caller's.
    """
    found(conn, request_id, gcs_prefix, video_urls)
    conn.execute(
        update(late_results)
        .where(c.request_id == request_id, c.delivered_at.is_(None))
        .values(delivered_at=at, delivery_due_at=None, delivery_claim=None)
    )
    replies.forget(conn, request_id)


def found(conn: Connection, request_id: UUID, gcs_prefix: str, video_urls: Sequence[str]) -> bool:
    """Write that the video is there, with its event; whether there is somebody to tell.

    It was paid for after all: what had been given back is taken again, whatever the limit; its
    place in the limits stays given back. Of a forgotten request nothing else is written, and the
    outputs are due to be removed. Wants a transaction of its caller's.
    """
    # The request's row first, as everybody locks them.
    request = conn.execute(
        select(r.billed, r.forgotten_at, _IS_TO_BE_TOLD.label("is_to_be_told"))
        .where(r.id == request_id, guarded_status == Status.TIMEOUT)
        .with_for_update(key_share=True)
    ).one_or_none()
    if request is None:
        return False
    noted = (
        update(late_results)
        .where(c.request_id == request_id, c.due_at.is_not(None))
        .values(
            due_at=None,
            look_until=func.now(),
            found_at=func.now(),
            delivery_due_at=case((literal(request.is_to_be_told), func.now() + DELIVERY_GRACE)),
        )
        .returning(c.request_id)
    )
    if conn.execute(noted).one_or_none() is None:
        return False
    written: dict[str, Any] = {"due_at": func.now()}
    if request.forgotten_at is None:
        written = {"gcs_prefix": gcs_prefix, "video_urls": list(video_urls)}
        told = {"videos": len(video_urls), "billed_after_all": not request.billed}
        events.record(conn, request_id, EventType.LATE_RESULT, told)
        once_it_stands(
            conn, lambda: log.info("late_result_found", request_id=str(request_id), **told)
        )
    conn.execute(update(video_requests).where(r.id == request_id).values(billed=True, **written))
    if not request.is_to_be_told:
        replies.forget(conn, request_id)
    return bool(request.is_to_be_told)
