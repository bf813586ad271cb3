"""Figures over many requests (QH2, QH3, QH4, RL5). Days, weeks and months are UTC's.

A range goes from `since`, inclusive, to `until`, exclusive; either may be left open. Functions
that ask twice give figures of two moments, unless the caller's transaction is REPEATABLE READ.
What was deleted is gone from a user's and a guild's figures; those over all count it (QH3).
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal, TypedDict

from sqlalchemy import (
    ColumnElement,
    Connection,
    DateTime,
    Row,
    Select,
    and_,
    func,
    literal,
    select,
    text,
    true,
)
from sqlalchemy.dialects.postgresql import array

from db.figures import Figures, GlobalFigures, GuildFigures, LimitReached, PeriodFigures
from db.states import Status
from db.tables import video_requests

Period = Literal["day", "week", "month"]
"""Weeks begin on Monday."""
Moment = datetime | ColumnElement[datetime]

TOP_PROMPTS: Final = 10

c = video_requests.c

IS_THERE: Final = c.deleted_at.is_(None)

_FIGURES: Final = (
    c.status,
    func.count().label("requests"),
    func.coalesce(func.sum(c.cost_usd), 0).label("cost_usd"),
    func.sum(c.duration_ms).label("duration_ms"),
)
_PERCENTILES: Final = array([0.5, 0.95, 0.99])
#: A year of durations or names is sorted in memory, which halves the time. It holds for a
#: transaction, and in autocommit not at all.
_ROOM: Final = select(func.set_config("work_mem", "64MB", True))  # noqa: FBT003
#: For Postgres: a timedelta would arrive as one day, which has 23 hours when the clocks change.
DAY: Final = text("interval '24 hours'")


def of_user(
    conn: Connection, user_id: str, *, since: datetime | None = None, until: datetime | None = None
) -> Figures:
    """What the user asked for (QH4)."""
    figures = (
        select(*_FIGURES)
        .where(c.user_id == user_id, IS_THERE, *_range(since, until))
        .group_by(c.status)
        .execution_options(query="user_statistics")
    )
    return Figures(**_figures(conn.execute(figures)))


def of_guild(
    conn: Connection,
    guild_id: str,
    *,
    by: Period = "day",
    since: datetime | None = None,
    until: datetime | None = None,
) -> GuildFigures:
    """What was asked for in the guild, by period, and the most common prompts (QH2)."""
    found = conn.execute(select_periods(guild_id, by, since, until)).all()
    prompts = conn.execute(select_top_prompts(guild_id, since, until))
    by_start: dict[datetime, list[Row[Any]]] = {}
    for row in found:
        by_start.setdefault(row.start, []).append(row)
    return GuildFigures(
        **_figures(found),
        periods=[
            PeriodFigures(**_figures(rows), start=start)
            for start, rows in sorted(by_start.items(), reverse=True)
        ],
        top_prompts=[(prompt, count) for prompt, count in prompts],
    )


def of_all(
    conn: Connection, *, since: datetime | None = None, until: datetime | None = None
) -> GlobalFigures:
    """What everybody asked for (QH3)."""
    conn.execute(_ROOM)
    # Two statements: percentiles keep Postgres from counting with several processes.
    found = conn.execute(select_counts(since, until)).all()
    p50, p95, p99 = conn.execute(select_percentiles(since, until)).scalar_one() or (None,) * 3
    return GlobalFigures(**_figures(found), p50_ms=p50, p95_ms=p95, p99_ms=p99)


def who_reached_limit(
    conn: Connection, limit: int, *, since: datetime | None = None, until: datetime | None = None
) -> list[LimitReached]:
    """Users with `limit` or more requests in any 24 hours, those with the most first (RL5).

    Counted as admission counts: a request is out of the window 24 hours after it, to the
    microsecond, and one that gave its place back never was in it. The window of a request of
    the range reaches back before `since`; what comes first is a request of the range itself.
    """
    conn.execute(_ROOM)
    found = conn.execute(select_who_reached_limit(limit, since, until))
    return [LimitReached(*row) for row in found]


def select_counts(since: datetime | None, until: datetime | None) -> Select[Any]:
    """Everybody's figures by status."""
    return (
        select(*_FIGURES)
        .where(*_range_of_all(since, until))
        .group_by(c.status)
        .execution_options(query="global_statistics")
    )


def select_percentiles(since: datetime | None, until: datetime | None) -> Select[Any]:
    """P50, P95 and P99 of what was completed, as one array."""
    return (
        select(func.percentile_cont(_PERCENTILES).within_group(c.duration_ms))
        .where(c.status == Status.COMPLETED, *_range(since, until))
        .execution_options(query="duration_percentiles")
    )


def select_periods(
    guild_id: str, by: Period, since: datetime | None, until: datetime | None
) -> Select[Any]:
    """A guild's figures by period and status."""
    start = func.date_trunc(by, c.created_at, "UTC").label("start")
    return (
        select(start, *_FIGURES)
        .where(c.guild_id == guild_id, IS_THERE, *_range(since, until))
        .group_by("start", c.status)
        .execution_options(query="guild_statistics")
    )


def select_top_prompts(
    guild_id: str, since: datetime | None, until: datetime | None
) -> Select[Any]:
    """A guild's most common prompts with their counts, the alphabet deciding between equals."""
    count = func.count()
    return (
        select(c.prompt, count)
        .where(c.guild_id == guild_id, IS_THERE, *_range(since, until))
        .group_by(c.prompt)
        .order_by(count.desc(), c.prompt.collate("C"))
        .limit(TOP_PROMPTS)
        .execution_options(query="top_prompts")
    )


def select_who_reached_limit(
    limit: int, since: datetime | None, until: datetime | None
) -> Select[Any]:
    """Users, totals and first times, from one reading of the range and the 24 hours before it."""
    read_from = since and literal(since, DateTime(timezone=True)) - DAY
    earlier = func.lag(c.created_at, limit - 1).over(
        partition_by=(c.user_id, c.counted), order_by=c.created_at
    )
    asked = (
        select(
            c.user_id,
            c.created_at,
            and_(c.counted, earlier > c.created_at - DAY).label("reaches_limit"),
        )
        .where(*_range_of_all(read_from, until))
        .cte("asked")
    )
    total = func.count()
    return (
        select(
            asked.c.user_id,
            total,
            func.min(asked.c.created_at).filter(asked.c.reaches_limit),
        )
        .where(true() if since is None else asked.c.created_at >= since)
        .group_by(asked.c.user_id)
        .having(func.bool_or(asked.c.reaches_limit))
        .order_by(total.desc(), asked.c.user_id.collate("C"))
        .execution_options(query="who_reached_limit")
    )


def _range(since: Moment | None, until: Moment | None) -> list[ColumnElement[bool]]:
    bounds: list[ColumnElement[bool]] = []
    if since is not None:
        bounds.append(c.created_at >= since)
    if until is not None:
        bounds.append(c.created_at < until)
    return bounds


def _range_of_all(since: Moment | None, until: Moment | None) -> list[ColumnElement[bool]]:
    """The range, read by the index on (status, created_at): all states leave nobody out."""
    bounds = _range(since, until)
    return bounds if since is None else [c.status.in_(list(Status)), *bounds]


class _Figures(TypedDict):
    """What :class:`Figures` is made of."""

    by_status: Mapping[Status, int]
    average_duration_ms: float | None
    cost_usd: Decimal


def _figures(rows: Iterable[Row[Any]]) -> _Figures:
    """Of rows with the columns of _FIGURES, however many for a state."""
    by_status = dict.fromkeys(Status, 0)
    cost_usd = Decimal(0)
    duration_ms = 0
    for row in rows:
        by_status[Status(row.status)] += row.requests
        cost_usd += row.cost_usd
        if row.status == Status.COMPLETED:
            duration_ms += row.duration_ms
    completed = by_status[Status.COMPLETED]
    return _Figures(
        by_status=by_status,
        average_duration_ms=duration_ms / completed if completed else None,
        cost_usd=cost_usd,
    )
