"""History and statistics, against the time that they may take."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, func, select

from db import history, statistics
from db.history import Place
from db.tables import video_requests
from tests.benchmarks.filling import BUSY_REQUESTS, BUSY_USER
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Side, Timing, measure

GROWTH_BOUND: Final = 1.5
PAGE: Final = 20
SLOW: Final = 40
"""Of what takes a good part of a second, one sample for so many of the others."""

GUILD: Final = "200000000000000000"
KEENEST: Final = "100000000000000000"
"""Of the ordinary users the one who has asked for most, 7,000 of 1,000,000."""

Read = Callable[[Connection], object]


def run(ground: Ground) -> list[Comparison]:
    """Bounds are milliseconds, told as parts of themselves."""
    now = datetime.now(UTC)
    with ground.database.begin() as conn:
        asked = select(func.count()).where(video_requests.c.user_id == KEENEST)
        deep = conn.execute(asked).scalar_one() - PAGE
        (last,) = history.of_user(conn, KEENEST, offset=deep - 1, limit=1)
        bounded: dict[str, tuple[int, Read]] = {
            "user history, first page": (10, lambda conn: history.of_user(conn, KEENEST)),
            "user history, last page by offset": (
                10,
                lambda conn: history.of_user(conn, KEENEST, offset=deep),
            ),
            "user history, last page by place": (
                10,
                lambda conn: history.of_user(conn, KEENEST, after=Place.of(last)),
            ),
            "guild statistics, 30 days": (50, of_guild(now - timedelta(days=30))),
            "guild statistics, all time": (50, of_guild(None)),
            "global statistics, 24 h": (50, of_all(now - timedelta(hours=24))),
        }
        boundless: dict[str, tuple[int, Read]] = {
            "global statistics, all time": (500, of_all(None)),
        }
        return [
            *_against_bounds(conn, bounded, ground.samples),
            *_against_bounds(conn, boundless, max(ground.samples // SLOW, 5)),
        ]


def run_growth(ground: Ground) -> list[Comparison]:
    """As many requests in the window, of a table with ten times as many."""
    now = datetime.now(UTC)
    part = ground.rows / ground.more_rows
    day, month = timedelta(hours=24), timedelta(days=30)
    last_page = BUSY_REQUESTS - PAGE

    def busy(conn: Connection) -> object:
        return history.of_user(conn, BUSY_USER, offset=last_page)

    reads: dict[str, tuple[Read, Read]] = {
        "user history": (busy, busy),
        "guild statistics": (of_guild(now - month), of_guild(now - month * part)),
        "global statistics": (of_all(now - day), of_all(now - day * part)),
    }
    # Both are there before the first connection is, which would not outlive the filling.
    ordinary, larger = ground.database, ground.larger_database
    with ordinary.begin() as small, larger.begin() as large:
        sides = {f"small {name}": _side(small, read) for name, (read, _) in reads.items()}
        sides |= {f"large {name}": _side(large, read) for name, (_, read) in reads.items()}
        timings = measure(sides, ground.samples)
    return [
        Comparison(
            f"{name}, {ground.more_rows:,} rows",
            timings[f"large {name}"],
            replace(timings[f"small {name}"], name=f"{ground.rows:,} rows"),
            GROWTH_BOUND,
        )
        for name in reads
    ]


def of_guild(since: datetime | None) -> Read:
    """The reading of a guild's statistics by day."""
    return lambda conn: statistics.of_guild(conn, GUILD, since=since)


def of_all(since: datetime | None) -> Read:
    """The reading of everybody's statistics."""
    return lambda conn: statistics.of_all(conn, since=since)


def _against_bounds(
    conn: Connection, reads: dict[str, tuple[int, Read]], samples: int
) -> list[Comparison]:
    timings = measure({name: _side(conn, read) for name, (_, read) in reads.items()}, samples)
    return [
        Comparison(name, timings[name], Timing(f"{bound} ms", bound * 1000, bound * 1000), 1.0)
        for name, (bound, _) in reads.items()
    ]


def _side(conn: Connection, read: Read) -> Side:
    return lambda: lambda: read(conn)
