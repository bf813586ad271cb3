"""Every write to ``video_requests``: admission, the guarded transitions, claims and due times.

A function takes the caller's connection and returns records; the caller owns the
transaction. :func:`admit` alone wants a connection in autocommit, for its procedure takes
its lock and its snapshot one after the other. Every time is the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from psycopg2.extras import Json
from sqlalchemy import (
    Connection,
    Interval,
    Row,
    RowMapping,
    Uuid,
    bindparam,
    func,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.errors import ClaimLost, InvalidStatusTransition, RequestNotFound
from db.records import (
    Admission,
    Due,
    Limit,
    MonthlyQuota,
    NewRequest,
    Outcome,
    Period,
    RateLimit,
    Request,
    Scope,
    Spending,
)
from db.states import Status
from db.tables import video_requests
from db.transitions import Transition, ending, guarded_status, transition

log = structlog.get_logger(__name__)

PROMPT_EXCERPT: Final = 50
"""Characters of a prompt that a log may show, and never more (LG1)."""

c = video_requests.c
NOT_ENDED: Final = (Status.PENDING, Status.GENERATING)
ONGOING: Final = c.status.in_(NOT_ENDED)

#: In the driver's own words: there is nothing in it that SQLAlchemy could compile, and letting it
#: look for that costs a twentieth of the admission.
_ADMIT: Final = """
    CALL admit_request(
      jsonb_populate_record(NULL::video_requests, %(request)s),
      %(daily_limit)s,
      %(monthly_quota)s,
      %(lease)s
    )
    """


def admit(
    conn: Connection, new: NewRequest, *, daily_limit: int, monthly_quota: int, lease: timedelta
) -> Admission:
    """Create the row of `new` with its event, unless a limit or a budget is reached (RL1, RL6).

    An id that is known is answered before any limit, and the existing request stands (RT6). The
    two limits are those of users for whom none is set. `lease` is how long the one who admits
    has, before the sweeper takes the request up.
    """
    values = {
        "request": Json(new.as_row()),
        "daily_limit": daily_limit,
        "monthly_quota": monthly_quota,
        "lease": lease,
    }
    answer = conn.exec_driver_sql(_ADMIT, values).one()
    outcome = Outcome(answer.outcome)
    if outcome is Outcome.EXISTS:
        log.warning("request_exists", request_id=str(new.id), user_id=new.user_id)
        return Admission(outcome, None)
    limit = RateLimit(answer.used, answer.allowed, answer.oldest_at, answer.reset_at)
    if outcome is Outcome.REFUSED:
        refused_by = _refusing(answer, limit)
        _log_refusal(new, refused_by)
        return Admission(outcome, limit, refused_by)
    log.info(
        "request_created",
        request_id=str(new.id),
        user_id=new.user_id,
        guild_id=new.guild_id,
        prompt_length=len(new.prompt),
        prompt=new.prompt[:PROMPT_EXCERPT],
        parameters=new.parameters(),
    )
    return Admission(outcome, limit)


def _refusing(answer: Row[Any], daily: RateLimit) -> Limit:
    """What refused, out of the procedure's answer."""
    match answer.refused_by.split():
        case ["daily"]:
            return daily
        case ["monthly"]:
            used, limit = int(answer.refused_used), int(answer.refused_limit)
            return MonthlyQuota(used, limit, answer.refused_until)
        case [scope, period]:
            return Spending(
                Scope(scope),
                Period(period),
                answer.refused_used,
                answer.refused_limit,
                answer.refused_until,
            )
    raise ValueError(answer.refused_by)


def _log_refusal(new: NewRequest, limit: Limit) -> None:
    """RL3's warning."""
    match limit:
        case RateLimit():
            log.warning(
                "rate_limit_reached",
                user_id=new.user_id,
                count=limit.used,
                oldest_request=limit.oldest_at,
                reset_at=limit.reset_at,
            )
        case MonthlyQuota():
            log.warning(
                "monthly_quota_reached",
                user_id=new.user_id,
                count=limit.used,
                limit=limit.limit,
                reset_at=limit.reset_at,
            )
        case Spending():
            log.warning(
                "budget_reached",
                user_id=new.user_id,
                guild_id=new.guild_id,
                budget=f"{limit.scope} {limit.period}",
                spent_usd=limit.spent_usd,
                limit_usd=limit.limit_usd,
                cost_usd=new.cost_usd,
                reset_at=limit.reset_at,
            )


def get(conn: Connection, request_id: UUID) -> Request | None:
    """The request with this id."""
    found = conn.execute(select(video_requests).where(c.id == request_id)).mappings().one_or_none()
    return None if found is None else as_request(found)


def claim(conn: Connection, request_id: UUID, claim: UUID, *, lease: timedelta) -> Request | None:
    """Take the right to make the one paid call; None when it is not to be had (any more).

    After `lease` the sweeper looks for what became of the call.
    """
    claimed = (
        update(video_requests)
        .where(c.id == request_id, guarded_status == Status.PENDING, c.claim.is_(None))
        .values(
            claim=claim,
            claimed_at=func.now(),
            due_at=func.now() + lease,
            attempts=c.attempts + 1,
        )
        .returning(video_requests)
    )
    found = conn.execute(claimed).mappings().one_or_none()
    return None if found is None else as_request(found)


def release(conn: Connection, request_id: UUID, claim: UUID, *, due_in: timedelta) -> None:
    """Give the right to the paid call back, because the call was certainly not taken."""
    conn.execute(
        update(video_requests)
        .where(c.id == request_id, guarded_status == Status.PENDING, c.claim == claim)
        .values(claim=None, claimed_at=None, due_at=func.now() + due_in)
    )


#: Started, or claimed by somebody who may have started it.
_IS_FOLLOWED: Final = or_(c.started_at.is_not(None), c.claim.is_not(None))


def take_up(
    conn: Connection, request_ids: Collection[UUID], *, lease: timedelta
) -> list[tuple[Request, timedelta]]:
    """Those of the requests that have not ended, each with the time since its start or claim.

    They are due again after `lease`, should this be the last that is heard of the caller, and
    the attempt is counted until :func:`park` or a transition tells of progress. Requests that
    wait for their start are not among them: nobody follows those.
    """
    age = func.now() - func.coalesce(c.started_at, c.claimed_at)
    taken = (
        update(video_requests)
        .where(c.id.in_(request_ids), guarded_status.in_(NOT_ENDED), _IS_FOLLOWED)
        .values(due_at=func.now() + lease, attempts=c.attempts + 1)
        .returning(video_requests, age.label("age"))
    )
    rows = conn.execute(taken).mappings()
    return [(as_request(found), found["age"]) for found in rows]


def park(conn: Connection, delays: Mapping[UUID, timedelta], *, is_progress: bool) -> None:
    """Have each request that is followed taken up again after its delay.

    `is_progress` says that the attempt was a good one, and that there was no other before it.
    """
    if not delays:
        return
    ids = literal(list(delays), ARRAY(Uuid))
    times = literal(list(delays.values()), ARRAY(Interval))
    waiting = func.unnest(ids, times).table_valued("id", "delay", name="waiting").render_derived()
    parked = update(video_requests).where(
        c.id == waiting.c.id, guarded_status.in_(NOT_ENDED), _IS_FOLLOWED
    )
    attempts = {"attempts": 0} if is_progress else {}
    conn.execute(parked.values(due_at=func.now() + waiting.c.delay, **attempts))


def take_due(conn: Connection, *, limit: int, lease: timedelta) -> list[Due]:
    """Up to `limit` requests whose time has come, the longest due first.

    Nobody else gets them for the length of `lease`; rows that another sweep holds are passed.
    """
    due = (
        select(c.id)
        .where(ONGOING, c.due_at <= func.now())
        .order_by(c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    rows = conn.execute(
        update(video_requests)
        .where(c.id == due.c.id)
        .values(due_at=func.now() + lease)
        .returning(c.id, c.status, c.claim.is_not(None).label("is_claimed"), c.attempts)
    )
    return [Due(row.id, Status(row.status), row.is_claimed, row.attempts) for row in rows]


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
    if _moved(conn, request_id, _BEGIN_REFUSAL, claimed_by=claim) is None:
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
    if _moved(conn, request_id, _BEGIN_GIVING_UP) is None:
        return _loser_of_the_race(conn, request_id, Status.TIMEOUT, in_time=NOT_ENDED)
    return time_out(conn, request_id, message=message)


def _move(conn: Connection, request_id: UUID, move: Transition, **values: Any) -> Request:
    """One guarded transition, or nothing at all (RT2).

    A request that is already there is returned as it stands (RT3: the schema lets no state be
    entered without its timestamps, so none can be missing).
    """
    request = _moved(conn, request_id, move, **values)
    if request is None:
        return _loser_of_the_race(conn, request_id, move.target, in_time=(move.source,))
    return request


def _moved(conn: Connection, request_id: UUID, move: Transition, **values: Any) -> Request | None:
    """The request after its move; None if none was made."""
    found = conn.execute(move.statement, {"request": request_id, **values}).mappings().one_or_none()
    if found is None:
        return None
    request = as_request(found)
    _log_transition(request, move.source)
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
    fields: dict[str, Any] = {"duration_ms": request.duration_ms}
    if request.status is Status.GENERATING:
        fields = {"duration_ms": None, "queueing_ms": request.queueing_ms}
    if request.status is Status.FAILED:
        fields["error_message"] = request.error_message
    log.info(
        "request_status_changed",
        request_id=str(request.id),
        old_status=old,
        new_status=request.status,
        labels=labels,
        **fields,
    )


def as_request(found: RowMapping) -> Request:
    """The record of a row that has (at least) every column of the table."""
    columns = {column.name: found[column.name] for column in video_requests.columns}
    return Request(**columns | {"status": Status(columns["status"])})
