"""Tables with many rows, and what Postgres does to answer from them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import Connection, event, text

from db.engine import Database
from db.settings import DatabaseSettings
from tests.conftest import MakeDatabase

ROWS, OF_ALICE = 110_000, 2_000

QUICK: Final = 50.0
"""Milliseconds (RL4)."""
TRIES: Final = 5
"""What others take of this machine meanwhile is left out: the quickest of so many counts."""


@dataclass(frozen=True)
class Plan:
    """What EXPLAIN ANALYZE says of a statement, as far as the tests ask."""

    milliseconds: float
    #: Every node that reads a table: its type, its index if it has one, the rows it has read.
    scans: list[tuple[str, str | None, int]]

    @property
    def is_quick(self) -> bool:
        return self.milliseconds < QUICK

    @property
    def indexes(self) -> set[str | None]:
        return {index for _, index, _ in self.scans}

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _, _ in self.scans}

    @property
    def rows_read(self) -> int:
        return sum(read for _, _, read in self.scans)


@contextmanager
def filled(
    make_database: MakeDatabase, template: str, *statements: str, **values: object
) -> Iterator[Database]:
    """A database in which these statements were run, and which knows what is in its tables."""
    with make_database(template) as address:
        database = Database(
            DatabaseSettings.model_validate({"database_url": address}),
            answer_timeout=timedelta(seconds=60),
        )
        with database.autocommit() as conn:
            for statement in statements:
                conn.execute(text(statement), values)
            conn.execute(text("ANALYZE"))
        yield database
        database.close()


@pytest.fixture(scope="module")
def crowd(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    """Many requests, two in a thousand of them under way, and many of alice's, most of today.

    The statistics are from an hour in which nothing was pending: there Postgres would rather find
    a pending row by the index on the status than by its id, and read all of them if there are many.
    """
    requests = """
        INSERT INTO video_requests (
          user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio,
          resolution, status, created_at, due_at
        )
        SELECT
          CASE WHEN n <= :of_alice THEN 'alice' ELSE 'user ' || n % 5000 END,
          'guild ' || n % 50,
          'channel',
          'A prompt of some length, as people write them, number ' || n,
          4, '16:9', '720p',
          CASE WHEN n % 500 = 0 THEN 'generating' ELSE 'completed' END,
          CASE WHEN n <= :of_alice
            THEN now() - n * interval '1 minute'
            ELSE now() - n * interval '20 seconds'
          END,
          CASE WHEN n % 500 = 0 THEN now() - n * interval '1 second' END
        FROM generate_series(1, :rows) AS n
        """
    with filled(make_database, template, requests, rows=ROWS, of_alice=OF_ALICE) as database:
        yield database


def plan(conn: Connection, run: Callable[[Connection], object]) -> Plan:
    """The plan of the one statement that `run` executes. What it writes is undone."""
    (found,) = plans(conn, run)
    return found


def plans(conn: Connection, run: Callable[[Connection], object]) -> list[Plan]:
    """The plans of the statements that `run` executes, each without the effect of the others."""
    executed: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        executed.append((statement, values))

    event.listen(conn, "before_cursor_execute", note)
    undone = conn.begin_nested()
    run(conn)
    undone.rollback()
    event.remove(conn, "before_cursor_execute", note)
    return [_explain(conn, *found) for found in executed if "SAVEPOINT" not in found[0]]


def _explain(conn: Connection, statement: str, values: Any) -> Plan:
    took: list[float] = []
    while not took or (min(took) >= QUICK and len(took) < TRIES):
        undone = conn.begin_nested()
        explained = f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"
        (answer,) = conn.exec_driver_sql(explained, values).scalar_one()
        undone.rollback()
        took.append(answer["Execution Time"])
    return Plan(min(took), list(_scans(answer["Plan"])))


def _scans(node: dict[str, Any]) -> Iterator[tuple[str, str | None, int]]:
    reads_a_table = "Relation Name" in node and node["Node Type"] not in ("ModifyTable",)
    if reads_a_table or "Index Name" in node:
        filtered = node.get("Rows Removed by Filter", 0)
        read = round((node["Actual Rows"] + filtered) * node["Actual Loops"])
        yield node["Node Type"], node.get("Index Name"), read
    for child in node.get("Plans", []):
        yield from _scans(child)
