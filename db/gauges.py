"""How the system stands at this moment, for monitoring that asks again and again.

Nothing here reads more than what has not ended and what was asked for in the last 24 hours: the
first by the index of what is due, the rest by the one on (status, created_at).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, func, select, text
from sqlalchemy.dialects.postgresql import array

from db.requests import NOT_ENDED
from db.states import Status
from db.statistics import DAY
from db.tables import request_remnants, video_requests

QUANTILES: Final = (0.5, 0.95, 0.99)
LATE: Final = timedelta(seconds=10)
"""Sweeps come every second: a request that has been due for longer than this is overdue."""

_HOUR: Final = text("interval '1 hour'")

c = video_requests.c


@dataclass(frozen=True, slots=True)
class Open:
    """The requests that have not ended."""

    by_status: Mapping[Status, int]
    #: Those whose paid call was made, or may have been.
    in_flight: int
    overdue: int
    #: Seconds since the creation of the oldest pending one; 0 where there is none.
    oldest_pending: float
    #: Seconds for which the one that is overdue the longest has been due; 0 where none is.
    longest_overdue: float


@dataclass(frozen=True, slots=True)
class Recent:
    """The requests of the last 24 hours, and among them those of the last hour."""

    of_last_hour: Mapping[Status, int]
    of_last_day: Mapping[Status, int]
    #: Dollars, what was given back left out, as budgets count it; of the day.
    spent_usd: Decimal
    #: Of the day.
    rescues: int
    delivered: int
    undelivered: int
    delivery_attempts: int


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of the requests of the last hour, in seconds by quantile; empty where there is none."""

    #: From the creation to the start.
    queueing: Mapping[float, float]
    #: From the start to the end of the completed ones.
    duration: Mapping[float, float]


def of_open(conn: Connection) -> Open:
    """What has not ended."""
    rows = conn.execute(select_open()).all()
    by_status = dict.fromkeys(NOT_ENDED, 0) | {Status(row.status): row.requests for row in rows}
    claimed = sum(row.claimed for row in rows if row.status == Status.PENDING)
    return Open(
        by_status=by_status,
        in_flight=by_status[Status.GENERATING] + claimed,
        overdue=sum(row.overdue for row in rows),
        oldest_pending=max(
            (float(row.oldest) for row in rows if row.status == Status.PENDING), default=0.0
        ),
        longest_overdue=max(
            (float(row.longest_due) for row in rows if row.overdue),
            default=0.0,
        ),
    )


def of_recent(conn: Connection) -> Recent:
    """What was asked for lately. What was spent on requests whose rows are gone counts too."""
    rows = conn.execute(select_recent()).all()
    gone = conn.execute(select_spent_on_remnants()).scalar_one()
    return Recent(
        of_last_hour=_by_status(rows, "hour"),
        of_last_day=_by_status(rows, "day"),
        spent_usd=gone + sum((row.spent_usd for row in rows), Decimal(0)),
        rescues=sum(row.rescues for row in rows),
        delivered=sum(row.delivered for row in rows),
        undelivered=sum(row.undelivered for row in rows),
        delivery_attempts=sum(row.delivery_attempts for row in rows),
    )


def of_latencies(conn: Connection) -> Latencies:
    """How long the requests of the last hour waited and took."""
    queueing, duration = conn.execute(select_latencies()).one()
    return Latencies(_by_quantile(queueing), _by_quantile(duration))


def select_open() -> Select[Any]:
    """The figures of what has not ended, by status."""
    overdue = c.due_at < func.now() - LATE
    return (
        select(
            c.status,
            func.count().label("requests"),
            func.count().filter(c.claim.is_not(None)).label("claimed"),
            func.count().filter(overdue).label("overdue"),
            _seconds(func.now() - func.min(c.created_at)).label("oldest"),
            # Those in the queue are due at no time, from which none can be subtracted.
            _seconds(func.now() - func.min(c.due_at).filter(overdue)).label("longest_due"),
        )
        .where(c.status.in_(NOT_ENDED))
        .group_by(c.status)
        .execution_options(query="open_gauges")
    )


def select_recent() -> Select[Any]:
    """The figures of the last 24 hours, by status."""
    return (
        select(
            c.status,
            func.count().label("day"),
            func.count().filter(c.created_at >= func.now() - _HOUR).label("hour"),
            func.coalesce(func.sum(c.cost_usd).filter(c.billed), 0).label("spent_usd"),
            func.sum(c.rescues).label("rescues"),
            func.count(c.delivered_at).label("delivered"),
            func.count(c.delivery_due_at).filter(c.delivered_at.is_(None)).label("undelivered"),
            func.sum(c.delivery_attempts).label("delivery_attempts"),
        )
        .where(*_since(DAY))
        .group_by(c.status)
        .execution_options(query="recent_gauges")
    )


def select_spent_on_remnants() -> Select[Any]:
    """Dollars spent in the last 24 hours on requests whose rows are gone."""
    r = request_remnants.c
    return (
        select(func.coalesce(func.sum(r.cost_usd), 0))
        .where(r.created_at >= func.now() - DAY)
        .execution_options(query="remnants_gauge")
    )


def select_latencies() -> Select[Any]:
    """Two arrays of quantiles, in seconds, of the requests of the last hour."""
    queueing = _seconds(c.started_at - c.created_at)
    return (
        select(
            func.percentile_cont(array(QUANTILES)).within_group(queueing),
            func.percentile_cont(array(QUANTILES))
            .within_group(c.duration_ms / 1000.0)
            .filter(c.status == Status.COMPLETED),
        )
        .where(*_since(_HOUR))
        .execution_options(query="latency_gauges")
    )


def _since(window: Any) -> tuple[ColumnElement[bool], ...]:
    """All of the last `window`, read by the index on (status, created_at)."""
    return c.status.in_(list(Status)), c.created_at >= func.now() - window


def _seconds(interval: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.extract("epoch", interval)


def _by_status(rows: Any, window: str) -> dict[Status, int]:
    found = {Status(row.status): getattr(row, window) for row in rows}
    return dict.fromkeys(Status, 0) | found


def _by_quantile(values: list[float | None] | None) -> dict[float, float]:
    pairs = zip(QUANTILES, values or (), strict=False)
    return {quantile: float(value) for quantile, value in pairs if value is not None}
