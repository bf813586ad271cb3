"""QH5: what takes long is told of, and nothing of what it was asked with."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, bindparam, insert, select, text
from structlog.testing import capture_logs
from structlog.typing import EventDict

from db import admission, history, slow_queries, statistics
from db.engine import Database
from db.errors import DatabaseError
from db.tables import video_requests
from tests.db.rows import LEASE, new_request

SECRET = "hush-hush"


class Clock:
    """Time as the queries take it: so many milliseconds each."""

    def __init__(self) -> None:
        self.query_ms = 0.0
        self._readings = self._read()

    def _read(self) -> Iterator[float]:
        moment = 1000.0
        while True:
            yield moment
            # Read once before a query and once after.
            moment += self.query_ms / 1000
            yield moment

    def __call__(self) -> float:
        return next(self._readings)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(slow_queries, "perf_counter", clock)
    return clock


def slow(logs: list[EventDict]) -> list[EventDict]:
    return [log for log in logs if log["event"] == "slow_query"]


@pytest.mark.parametrize(
    ("milliseconds", "level"),
    [(0, None), (99.9, None), (100.1, "info"), (499.9, "info"), (500.1, "warning")],
)
@pytest.mark.parametrize("way", ["begin", "autocommit"])
def test_qh5_from_when_on_a_query_is_told_of(
    database: Database, clock: Clock, milliseconds: float, level: str | None, way: str
) -> None:
    clock.query_ms = milliseconds
    connect = database.begin if way == "begin" else database.autocommit
    with capture_logs() as logs, connect() as conn:
        conn.execute(text("SELECT :what"), {"what": SECRET})
    told = {
        "event": "slow_query",
        "log_level": level,
        "query_type": "SELECT",
        "parameters": 1,
        "duration_ms": pytest.approx(milliseconds),
    }
    assert slow(logs) == ([told] if level else [])
    assert SECRET not in str(logs)


def test_qh5_a_query_is_told_of_by_its_name_or_its_keyword(
    database: Database, clock: Clock
) -> None:
    new = new_request(prompt=SECRET)
    clock.query_ms = 101
    with capture_logs() as logs, database.autocommit() as conn:
        admission.admit(conn, new, daily_limit=5, monthly_quota=100, lease=LEASE)
        history.by_id(conn, new.id)
        history.of_user(conn, new.user_id)
        statistics.of_user(conn, new.user_id)
        statistics.of_all(conn)
        conn.execute(select(video_requests.c.id))
        conn.exec_driver_sql("\n  (select 1)")
    assert [(log["query_type"], log["parameters"]) for log in slow(logs)] == [
        ("CALL", 6),
        ("request", 1),
        ("user_history", 3),
        ("user_statistics", 2),
        ("SELECT", 3),
        ("global_statistics", 1),
        ("duration_percentiles", 4),
        ("SELECT", 0),
        ("SELECT", 0),
    ]
    assert SECRET not in str(slow(logs))


def test_qh5_parameters_of_many_rows_are_counted_together(database: Database, clock: Clock) -> None:
    clock.query_ms = 101
    rows = [{"n": n} for n in range(7)]
    with database.begin() as conn:
        conn.execute(text("CREATE TABLE numbers (n INTEGER, twice INTEGER)"))
        with capture_logs() as logs:
            conn.execute(text("INSERT INTO numbers VALUES (:n, 2 * :n)"), rows)
    assert [(log["query_type"], log["parameters"]) for log in slow(logs)] == [("INSERT", 7)]


def test_qh5_a_query_that_fails_late_is_told_of(database: Database, clock: Clock) -> None:
    def run(conn: Connection) -> None:
        conn.execute(text("SELECT 1 / (:one - 1)"), {"one": 1})

    clock.query_ms = 30_000
    with capture_logs() as logs:
        with pytest.raises(DatabaseError), database.begin() as conn:
            run(conn)
        clock.query_ms = 1
        with database.begin() as conn:
            conn.execute(text("SELECT 1"))
    assert [(log["query_type"], log["log_level"]) for log in slow(logs)] == [("SELECT", "warning")]


def test_qh5_a_query_that_postgres_was_never_asked_is_not_told_of(
    database: Database, clock: Clock
) -> None:
    clock.query_ms = 101
    statement = insert(video_requests).values(id=bindparam("nothing"))
    with (
        capture_logs() as logs,
        database.begin() as conn,
        pytest.raises(Exception, match="nothing"),
    ):
        conn.execute(statement)
    assert slow(logs) == []


def test_qh5_each_query_is_timed_by_itself(database: Database, clock: Clock) -> None:
    clock.query_ms = 99
    with capture_logs() as logs, database.begin() as conn:
        for _ in range(5):
            conn.execute(text("SELECT 1"))
    assert slow(logs) == []
