"""The guarded transitions of ``video_requests`` (RT2).

A function takes the caller's connection and returns records; the caller owns the
transaction. Every time is the database's clock.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import timedelta
from functools import partial
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, Interval, RowMapping, bindparam, func, select

from db.errors import ClaimLost, InvalidStatusTransition, RequestNotFound
from db.records import Request
from db.states import Status
from db.tables import video_requests
from db.telling import once_it_stands
from db.transitions import Transition, ending, transition

log = structlog.get_logger(__name__)

c = video_requests.c
NOT_ENDED: Final = (Status.PENDING, Status.GENERATING)


_GET: Final = select(video_requests).where(c.id == bindparam("request"))


def get(conn: Connection, request_id: UUID) -> Request | None:
    """The request with this id."""
    found = conn.execute(_GET, {"request": request_id}).mappings().one_or_none()
    return None if found is None else as_request(found)


_START: Final = transition(
    Status.GENERATING,
    fence=c.claim == bindparam("claimed_by"),
    started_at=func.now(),
    operation_name=bindparam("operation"),
    gcs_prefix=bindparam("prefix"),
    due_at=func.now() + bindparam("due_in", type_=Interval),
    attempts=0,
)


def start(
    conn: Connection,
    request_id: UUID,
    claim: UUID,
    *,
    operation_name: str,
    gcs_prefix: str,
    due_in: timedelta,
) -> Request:
    """``pending → generating``: the provider has accepted. Fenced by the claim of the caller."""
    return _move(
        conn,
        request_id,
        _START,
        claimed_by=claim,
        operation=operation_name,
        prefix=gcs_prefix,
        due_in=due_in,
    )


_ADOPT: Final = transition(
    Status.GENERATING,
    fence=c.claim.is_not(None),
    started_at=c.claimed_at,
    gcs_prefix=bindparam("prefix"),
    attempts=0,
)


def adopt(conn: Connection, request_id: UUID, *, gcs_prefix: str) -> Request:
    """``pending → generating`` for a call of unknown outcome whose output has been found."""
    return _move(conn, request_id, _ADOPT, prefix=gcs_prefix)


_COMPLETE: Final = ending(Status.COMPLETED, video_urls=bindparam("urls"))


def complete(conn: Connection, request_id: UUID, video_urls: Sequence[str]) -> Request:
    """``generating → completed``. The addresses do not expire (RT4)."""
    return _move(conn, request_id, _COMPLETE, urls=list(video_urls))


_FAIL: Final = ending(
    Status.FAILED,
    error_code=bindparam("code"),
    error_message=bindparam("message"),
    billed=bindparam("is_billed"),
    counted=bindparam("is_counted"),
)


def fail(
    conn: Connection,
    request_id: UUID,
    *,
    code: str,
    message: str,
    is_billed: bool = True,
    is_counted: bool = True,
) -> Request:
    """``generating → failed``. `message` is for the user, `code` for programs.

    Not `is_billed` gives the money back, not `is_counted` the place in the limits.
    """
    return _move(
        conn,
        request_id,
        _FAIL,
        code=code,
        message=message,
        is_billed=is_billed,
        is_counted=is_counted,
    )


_TIME_OUT: Final = ending(Status.TIMEOUT, error_code="timeout", error_message=bindparam("message"))


def time_out(conn: Connection, request_id: UUID, *, message: str) -> Request:
    """``generating → timeout``."""
    return _move(conn, request_id, _TIME_OUT, message=message)


_BEGIN_REFUSAL: Final = transition(
    Status.GENERATING,
    fence=c.claim.is_not_distinct_from(bindparam("claimed_by")),
    started_at=func.now(),
)


def refuse(
    conn: Connection,
    request_id: UUID,
    *,
    code: str,
    message: str,
    claim: UUID | None = None,
    is_counted: bool = True,
) -> Request:
    """``pending → generating → failed``, for what ends before it was started.

    Fenced by `claim`; without one, by there being none. It gives its money back, and where it
    is not `is_counted` its place in the limits. Wants a transaction of its caller's.
    """
    if moved(conn, request_id, _BEGIN_REFUSAL, claimed_by=claim) is None:
        return _loser_of_the_race(conn, request_id, Status.FAILED, in_time=NOT_ENDED)
    return fail(
        conn, request_id, code=code, message=message, is_billed=False, is_counted=is_counted
    )


_BEGIN_GIVING_UP: Final = transition(
    Status.GENERATING,
    fence=c.claim.is_not(None),
    started_at=c.claimed_at,
    counted=False,
    billed=False,
)


def give_up_search(conn: Connection, request_id: UUID, *, message: str) -> Request:
    """``pending → generating → timeout``, for a call of unknown outcome that nothing came of.

    It gives its money and its place in the limits back. Wants a transaction of its caller's.
    """
    if moved(conn, request_id, _BEGIN_GIVING_UP) is None:
        return _loser_of_the_race(conn, request_id, Status.TIMEOUT, in_time=NOT_ENDED)
    return time_out(conn, request_id, message=message)


def _move(conn: Connection, request_id: UUID, move: Transition, **values: Any) -> Request:
    """One guarded transition, or nothing at all (RT2).

    A request that is already there is returned as it stands (RT3: the schema lets no state be
    entered without its timestamps, so none can be missing).
    """
    request = moved(conn, request_id, move, **values)
    if request is None:
        return _loser_of_the_race(conn, request_id, move.target, in_time=(move.source,))
    return request


def moved(conn: Connection, request_id: UUID, move: Transition, **values: Any) -> Request | None:
    """The request after its move; None if none was made."""
    found = conn.execute(move.statement, {"request": request_id, **values}).mappings().one_or_none()
    if found is None:
        return None
    request = as_request(found)
    once_it_stands(conn, partial(_log_transition, request, move.source))
    return request


def _loser_of_the_race(
    conn: Connection, request_id: UUID, target: Status, *, in_time: Collection[Status]
) -> Request:
    """What a transition answers that moved no row.

    In the states of `in_time` the move itself was still to be had, but not by this caller.
    """
    request = get(conn, request_id)
    if request is None:
        raise RequestNotFound(request_id)
    if request.status is target:
        return request
    if request.status in in_time:
        log.warning("claim_lost", request_id=str(request_id), new_status=target)
        raise ClaimLost(request_id)
    log.warning(
        "invalid_status_transition",
        request_id=str(request_id),
        old_status=request.status,
        new_status=target,
    )
    raise InvalidStatusTransition(request_id, request.status, target)


def _log_transition(request: Request, old: Status) -> None:
    """LG1, and the timings of RT5 with their labels."""
    labels = {
        "status": request.status,
        "duration_seconds": request.duration_seconds,
        "aspect_ratio": request.aspect_ratio,
    }
    more: dict[str, Any] = {"duration_ms": request.duration_ms}
    if request.status is Status.GENERATING:
        more = {"duration_ms": None, "queueing_ms": request.queueing_ms}
    if request.status is Status.FAILED:
        more["error_message"] = request.error_message
    log.info(
        "request_status_changed",
        request_id=str(request.id),
        old_status=old,
        new_status=request.status,
        labels=labels,
        **more,
    )


_FIELDS: Final = tuple(field.name for field in fields(Request))
_VALUES: Final = itemgetter(*_FIELDS)
_STATUS: Final = _FIELDS.index("status")


def as_request(found: RowMapping) -> Request:
    """The record of a row that has (at least) every column of the table."""
    values = _VALUES(found)
    return Request(*(*values[:_STATUS], Status(values[_STATUS]), *values[_STATUS + 1 :]))
