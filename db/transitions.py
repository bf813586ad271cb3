"""How a guarded transition is written (RT2): one statement, the move and the events of it.

Each is built once, when its module is loaded. Building it takes longer than executing it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    Select,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.sql import ColumnElement

from db.events import EventType
from db.states import Status, source_of
from db.tables import late_results, video_events, video_requests

c = video_requests.c

#: The status as a guard asks for it, beside an id: an expression that no index answers. Where the
#: statistics are from a quiet hour, the planner takes "all that is pending" for a row at most, and
#: reads it all, instead of the one id (4,400 pending: 5 to 7 ms each time, not 0.05).
guarded_status = c.status.concat("")

#: There is somebody to deliver to in a channel of Discord's, and nobody on a command line.
IS_SNOWFLAKE: Final = c.channel_id.regexp_match("^[0-9]{1,20}$")
NOW: Final[ColumnElement[datetime]] = func.now()
DELIVERY_GRACE: Final = timedelta(seconds=10)
LOOK_FOR: Final = timedelta(days=1)
"""How long after it was asked for a video that missed its time is looked for. Nothing is removed
by retention before."""
LOOK_AT_LEAST: Final = timedelta(hours=1)
"""The same after the timeout, for what had waited long."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One move between two states.

    `statement` wants `request`, the id, and whatever fence and changes left open. It answers the
    row after the move, or none where the request was not in `source` or the fence was shut.
    """

    source: Status
    target: Status
    statement: Select[Any]


def transition(
    target: Status,
    *,
    fence: ColumnElement[bool] | None = None,
    at: ColumnElement[datetime] = NOW,
    **changes: Any,
) -> Transition:
    """The move to `target`, for requests that are in its source and within the fence.

    Its events are of the moment `at`.

    What these leave open must not be named like a column, or SQLAlchemy would set that, too.
    """
    source = source_of(target)
    if source is None:
        raise ValueError(f"No transition leads to {target}")
    moved = (
        update(video_requests)
        .where(
            c.id == bindparam("request"),
            guarded_status == source,
            true() if fence is None else fence,
        )
        .values(status=target, **changes)
        .returning(video_requests)
        .cte("moved")
    )
    told = [(EventType.STATUS_CHANGED, func.jsonb_build_object("from", source, "to", target))]
    if target is Status.FAILED:
        reason = func.jsonb_build_object("error_code", moved.c.error_code)
        told.append((EventType.FAILED, reason))
    events = (
        insert(video_events)
        .from_select(
            ["request_id", "event_type", "event_data", "created_at"],
            union_all(*(select(moved.c.id, literal(kind), data, at) for kind, data in told)),
        )
        .cte("events")
    )
    also = [events]
    if target is Status.TIMEOUT:
        # It may have been paid for, and may still appear: this end has it looked for.
        until = func.greatest(moved.c.created_at + LOOK_FOR, func.now() + LOOK_AT_LEAST)
        also.append(
            insert(late_results)
            .from_select(["request_id", "look_until"], select(moved.c.id, until))
            .cte("awaited")
        )
    return Transition(source, target, select(moved).add_cte(*also))


def ending(target: Status, *, at: ColumnElement[datetime] = NOW, **changes: Any) -> Transition:
    """The move, at the moment `at`, to one of the states that no other follows."""
    return transition(
        target,
        at=at,
        # Whoever writes the end delivers it, unless he dies; then the sweeper does.
        delivery_due_at=case((IS_SNOWFLAKE, func.now() + DELIVERY_GRACE)),
        completed_at=at,
        duration_ms=func.video_request_duration_ms(c.started_at, at),
        due_at=None,
        **changes,
    )
