"""Writing down afterwards what happened while Postgres was away (DG3).

It goes through the guards that everything goes through: what stands wins, an ended request never
changes, and what contradicts it is an event. Nobody asks the limits, and everything is counted. The
times are those of whoever went on meanwhile.
"""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection, DateTime, bindparam, func, update
from sqlalchemy.dialects.postgresql import insert

from db import (
    admission,
    deliveries,
    events,
    forgetting,
    late_results,
    leases,
    replies,
    requests,
    retention,
)
from db.events import EventType
from db.meanwhile import Meanwhile
from db.records import ReplyTo, Request
from db.states import Status
from db.tables import video_requests
from db.telling import once_it_stands
from db.transitions import ending, transition

log = structlog.get_logger(__name__)

c = video_requests.c


def write(
    conn: Connection,
    it: Meanwhile,
    reply_to: ReplyTo | None,
    *,
    lease: timedelta,
    keep: timedelta | None = None,
) -> Request | None:
    """Write what became of a request as far as it is known; the row after that.

    None where there was a row, and is none any more. The sweeper takes up after `lease` what goes
    on. Of somebody who was forgotten since, and of what is older than `keep`, the row is that of a
    forgotten request, which holds nothing but what limits and budgets count, and goes by itself.
    Wants a transaction; doing it again does no harm.
    """
    if not it.has_row:
        _create(conn, it, lease=lease, keep=keep)
    request = requests.get(conn, it.new.id)
    if request is None:
        log.warning("backfill_not_wanted", request_id=str(it.new.id))
        return None
    if request.forgotten_at is not None:
        it = replace(it, video_urls=None, error_message=None, delivered_at=None)
        reply_to = None
    if reply_to is not None and it.delivered_at is None and request.delivered_at is None:
        replies.keep(conn, request.id, reply_to)
    if it.unused_claim is not None:
        leases.release(conn, request.id, it.unused_claim, due_in=lease)
    if it.started_at is not None:
        _start(conn, it, request, lease=lease)
    if it.status.has_ended:
        _end(conn, it)
    stands = requests.get(conn, request.id)
    if stands is None or it.delivered_at is None:
        return stands
    # Somebody who did not know of it may have seen the end later, and written that first: no answer
    # stands before its end.
    at = max(it.delivered_at, stands.completed_at or it.delivered_at)
    record = deliveries.LATE if it.is_late else deliveries.ANSWER
    deliveries.delivered(conn, request.id, it.delivery or {}, record=record, at=at)
    if stands.status is Status.TIMEOUT and it.status is Status.COMPLETED:
        late_results.shown(conn, request.id, stands.gcs_prefix or "", it.video_urls or (), at=at)
    return requests.get(conn, request.id)


def _create(conn: Connection, it: Meanwhile, *, lease: timedelta, keep: timedelta | None) -> None:
    """(nothing) → ``pending``. What is known already stays as it is (RT6)."""
    is_wanted = _is_wanted(conn, it, keep)
    columns = it.new.as_row() | {
        "id": it.new.id,
        "status": Status.PENDING,
        "created_at": it.asked_at,
        "fair_at": it.asked_at,
        "due_at": func.now() + lease,
        "claim": it.claim,
        "claimed_at": it.claimed_at,
        "billed": False,
    }
    if not is_wanted:
        columns |= {**forgetting.EMPTIED, "forgotten_at": func.now(), "deleted_at": func.now()}
    created = insert(video_requests).values(**columns).on_conflict_do_nothing().returning(c.id)
    if conn.execute(created).one_or_none() is None:
        return
    # It takes its money in a move of its own, the one that takes it whatever the limit.
    conn.execute(update(video_requests).where(c.id == it.new.id).values(billed=True))
    if not is_wanted:
        return
    told = {
        "provider": it.new.provider,
        "model": it.new.model,
        "cost_usd": None if it.new.cost_usd is None else float(it.new.cost_usd),
    }
    events.record(conn, it.new.id, EventType.CREATED, told, at=it.asked_at)
    if it.new.source_id is not None:
        source = {"source_id": str(it.new.source_id)}
        events.record(conn, it.new.id, EventType.REMIXED, source, at=it.asked_at)
    once_it_stands(conn, partial(admission.log_created, it.new))


def _is_wanted(conn: Connection, it: Meanwhile, keep: timedelta | None) -> bool:
    """Whether what it holds of its user may be kept."""
    if forgetting.is_forgotten(conn, it.new.user_id, since=it.asked_at):
        return False
    return keep is None or it.asked_at >= retention.cutoff(conn, keep)


_AT: Final = bindparam("at", type_=DateTime(timezone=True))
_START: Final = transition(
    Status.GENERATING,
    at=_AT,
    started_at=_AT,
    operation_name=bindparam("operation"),
    gcs_prefix=bindparam("prefix"),
    due_at=func.now() + bindparam("lease"),
    attempts=0,
)
_END: Final = {
    target: ending(
        target,
        at=_AT,
        video_urls=bindparam("urls"),
        error_code=bindparam("code"),
        error_message=bindparam("message"),
        billed=bindparam("is_billed"),
        counted=bindparam("is_counted"),
    )
    for target in (Status.COMPLETED, Status.FAILED, Status.TIMEOUT)
}


def _start(conn: Connection, it: Meanwhile, request: Request, *, lease: timedelta) -> None:
    """``pending → generating``. Whoever left the mark made the call, whatever the row says."""
    moved = requests.moved(
        conn,
        request.id,
        _START,
        at=it.started_at,
        operation=it.operation_name,
        prefix=it.gcs_prefix,
        lease=lease,
    )
    is_known = it.operation_name in (None, request.operation_name)
    if moved is None and not is_known:
        late = {"operation_name": it.operation_name}
        events.record(conn, request.id, EventType.ACCEPTED_LATE, late)
        if it.billed:
            # It was deleted meanwhile as one that nobody had begun. Nobody follows it, and it is
            # paid for; what has timed out is looked after (:mod:`db.late_results`).
            is_given_up = (c.id == request.id) & (c.status == Status.FAILED)
            conn.execute(update(video_requests).where(is_given_up).values(billed=True))


def _end(conn: Connection, it: Meanwhile) -> None:
    """``generating →`` the end that was seen."""
    moved = requests.moved(
        conn,
        it.new.id,
        _END[it.status],
        at=it.completed_at,
        urls=None if it.video_urls is None else list(it.video_urls),
        code=it.error_code,
        message=it.error_message,
        is_billed=it.billed,
        is_counted=it.counted,
    )
    if moved is not None:
        return
    stands = requests.get(conn, it.new.id)
    if stands is not None and stands.status is not it.status:
        told = {"stands": stands.status, "was": it.status}
        log.warning("backfill_contradicted", request_id=str(it.new.id), **told)
        events.record(conn, it.new.id, EventType.CONTRADICTED, told)
