"""Who may act on a request, and for how long: claims, leases and due times (DESIGN, 2 and 3).

A function takes the caller's connection and returns records; the caller owns the transaction.
Every time is the database's clock. What every request needs is built once, as its transitions are.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Interval,
    Uuid,
    and_,
    any_,
    bindparam,
    case,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from db.records import Due, Request, Span
from db.requests import NOT_ENDED, as_request
from db.states import Status
from db.tables import video_requests
from db.transitions import guarded_status

c = video_requests.c
ONGOING: Final = c.status.in_(NOT_ENDED)
IN_LINE: Final[ColumnElement[datetime]] = literal_column("'infinity'::timestamptz")
"""When those are due who wait for their turn (:mod:`db.pacing`): nobody needs to look at them."""


_CLAIM: Final = (
    update(video_requests)
    .where(
        c.id == bindparam("request"),
        guarded_status == Status.PENDING,
        c.claim.is_(None),
        c.deleted_at.is_(None),
    )
    .values(
        claim=bindparam("claim_of"),
        claimed_at=func.now(),
        due_at=func.now() + bindparam("lease", type_=Interval),
        attempts=c.attempts + 1,
    )
    .returning(video_requests)
)


def claim(conn: Connection, request_id: UUID, claim: UUID, *, lease: timedelta) -> Request | None:
    """Take the right to make the one paid call; None when it is not to be had (any more).

    After `lease` the sweeper looks for what became of the call.
    """
    values = {"request": request_id, "claim_of": claim, "lease": lease}
    found = conn.execute(_CLAIM, values).mappings().one_or_none()
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


_TAKE_UP: Final = (
    update(video_requests)
    .where(
        c.id == any_(bindparam("requests", type_=ARRAY(Uuid))),
        guarded_status.in_(bindparam("among", expanding=True)),
        _IS_FOLLOWED,
    )
    .values(
        due_at=func.now() + bindparam("lease", type_=Interval),
        attempts=c.attempts + bindparam("attempts", type_=Integer),
    )
    .returning(
        video_requests,
        (func.now() - func.coalesce(c.started_at, c.claimed_at)).label("age"),
    )
)


def take_up(
    conn: Connection,
    request_ids: Collection[UUID],
    *,
    lease: timedelta,
    among: Collection[Status] = NOT_ENDED,
    is_attempt: bool = True,
) -> list[tuple[Request, timedelta]]:
    """Those of the requests that are in these states, each with the time since its start or claim.

    They are due again after `lease`, should this be the last that is heard of the caller, and
    the attempt, if it is one and not the second half of another, is counted until :func:`park` or a
    transition tells of progress. Requests that wait for their start are not among them: nobody
    follows those.
    """
    values = {
        "requests": list(request_ids),
        "lease": lease,
        "among": list(among),
        "attempts": int(is_attempt),
    }
    rows = conn.execute(_TAKE_UP, values).mappings()
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


def take_due(
    conn: Connection,
    *,
    limit: int,
    lease: timedelta,
    is_paced: bool = False,
    starts_due_by: datetime | None = None,
    left_alone: Span | None = None,
) -> list[Due]:
    """Up to `limit` requests whose time has come, the longest due first.

    Nobody else gets them for the length of `lease`; rows that another sweep holds are passed. It
    counts as a rescue of what is followed where the last attempt came to nothing. Where starts
    are paced, those to be started stand in line from here on. Those to be started that became due
    after `starts_due_by` are left as they are, and so is whatever was due within `left_alone`.
    """
    due = (
        select(c.id)
        .where(
            ONGOING,
            c.due_at <= func.now(),
            _is_not_sent(is_paced, starts_due_by),
            is_outside(c.due_at, left_alone),
        )
        .order_by(c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")
    )
    due_again = func.now() + lease
    rows = conn.execute(
        update(video_requests)
        .where(c.id == due.c.id)
        .values(
            due_at=case((_WAITS, IN_LINE), else_=due_again) if is_paced else due_again,
            rescues=c.rescues + and_(_IS_FOLLOWED, c.attempts > 0).cast(Integer),
        )
        .returning(
            c.id,
            c.status,
            c.claim.is_not(None).label("is_claimed"),
            c.attempts,
            (c.due_at == IN_LINE).label("is_in_line"),
        )
    )
    return [Due(row.id, Status(row.status), *row[2:]) for row in rows]


def is_outside(time: ColumnElement[datetime], span: Span | None) -> ColumnElement[bool]:
    """Whether it was before or after; and where there is no span, it was."""
    return true() if span is None else or_(time < span[0], time >= span[1])


def _is_not_sent(is_paced: bool, starts_due_by: datetime | None) -> ColumnElement[bool]:
    """Whether no message can still be under way that the request waits for."""
    if starts_due_by is None:
        return true()
    is_to_be_started = and_(c.status == Status.PENDING, c.claim.is_(None))
    stands_in_line = _WAITS if is_paced else false()
    return or_(not_(is_to_be_started), c.due_at <= starts_due_by, stands_in_line)


#: What was deleted is to be ended, and waits for nothing.
_WAITS: Final = and_(c.status == Status.PENDING, c.claim.is_(None), c.deleted_at.is_(None))


def now(conn: Connection) -> datetime:
    """The moment, by the clock that all times here are of."""
    return conn.execute(select(func.now())).scalar_one()


def leave_line(conn: Connection) -> None:
    """Make due whoever stands in line, for starts are paced no more. Nobody does, nearly always."""
    conn.execute(
        update(video_requests).where(ONGOING, c.due_at == IN_LINE).values(due_at=func.now())
    )
