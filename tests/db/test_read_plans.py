"""Reads that a user or a time bounds read no more than that, however large the table."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Select, text

from db import history, statistics
from db.engine import Database
from db.history import Place, Wanted
from db.states import Status
from tests.db.plans import OF_ALICE, ROWS, Plan, plan
from tests.db.plans import crowd as unvacuumed

__all__ = ["unvacuumed"]

LIST_INDEX = "idx_video_requests_user_list"
KEY = "video_requests_pkey"
USER_INDEX = "idx_video_requests_user_created"
GUILD_INDEX = "idx_video_requests_guild_created"
STATUS_INDEX = "idx_video_requests_status_created"
PER_DAY = 24 * 60 * 3
"""Requests of everybody but alice; she asks once a minute."""


@pytest.fixture(scope="module")
def crowd(unvacuumed: Database) -> Database:
    """As autovacuum leaves it, which lets an index alone answer."""
    is_done = text("SELECT relallvisible > 0 FROM pg_class WHERE relname = 'video_requests'")
    with unvacuumed.autocommit() as conn:
        # While somebody's transaction looks on, autovacuum's own say, it achieves nothing.
        for _ in range(200):
            conn.execute(text("VACUUM ANALYZE video_requests"))
            if conn.execute(is_done).scalar_one():
                return unvacuumed
    raise AssertionError("The table could not be vacuumed")


def explained(database: Database, statement: Select[Any]) -> Plan:
    with database.begin() as conn:
        return plan(conn, lambda conn: conn.execute(statement))


def days_ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def test_a_users_first_page_reads_its_page(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: history.of_user(conn, "alice"))
    assert found.scans == [("Index Only Scan", LIST_INDEX, 20), ("Index Scan", KEY, 20)]


@pytest.mark.parametrize("offset", [1, 20, 500, OF_ALICE - 20, 2 * OF_ALICE])
def test_a_deep_page_passes_the_others_by_the_index_alone(crowd: Database, offset: int) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: history.of_user(conn, "alice", offset=offset))
    passed, *page = found.scans
    assert passed == ("Index Only Scan", LIST_INDEX, min(offset + 20, OF_ALICE))
    assert {(kind, index) for kind, index, _ in page} <= {("Index Scan", KEY)}
    assert found.is_quick


def test_a_page_by_its_place_reads_the_same_at_any_depth(crowd: Database) -> None:
    with crowd.begin() as conn:
        (last,) = history.of_user(conn, "alice", offset=OF_ALICE - 100, limit=1)
        after = Place.of(last)
        found = plan(conn, lambda conn: history.of_user(conn, "alice", after=after))
    assert found.indexes == {LIST_INDEX, KEY}, found.scans
    assert found.rows_read <= 2 * 20


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted([Status.GENERATING]),
        Wanted([Status.COMPLETED, Status.FAILED]),
        Wanted(since=days_ago(1)),
        Wanted([Status.TIMEOUT], since=days_ago(2), until=days_ago(1)),
    ],
)
@pytest.mark.parametrize("offset", [0, 100])
def test_a_filter_keeps_to_the_users_rows(crowd: Database, wanted: Wanted, offset: int) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: history.of_user(conn, "alice", wanted, offset=offset))
    # The user's list, or where a state is rare with everybody, that state's index.
    assert "Seq Scan" not in found.kinds
    assert found.rows_read <= OF_ALICE + 20
    assert found.is_quick


def test_a_page_of_a_guild_reads_its_page(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: history.of_guild(conn, "guild 7"))
    assert found.indexes == {GUILD_INDEX, KEY}
    # Requests of one moment are sorted in groups of up to 32.
    assert found.rows_read <= 2 * 20 + 32


def test_a_request_is_found_by_its_id(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: history.by_id(conn, uuid4()))
    assert found.scans == [("Index Scan", "video_requests_pkey", 0)]


def of_user(conn: Connection) -> object:
    return statistics.of_user(conn, "alice")


def test_qh4_a_users_statistics_read_the_users_rows(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, of_user)
    assert_bounded(found, USER_INDEX, OF_ALICE)


@pytest.mark.parametrize("select", [statistics.select_top_prompts, statistics.select_periods])
def test_qh2_a_guilds_statistics_read_the_guilds_rows(
    crowd: Database, select: Callable[..., Select[Any]]
) -> None:
    by = ["day"] if select is statistics.select_periods else []
    found = explained(crowd, select("guild 7", *by, days_ago(5), None))
    assert_bounded(found, GUILD_INDEX, (PER_DAY * 5 + OF_ALICE) // 50 + 50)
    found = explained(crowd, select("guild 7", *by, None, None))
    assert_bounded(found, GUILD_INDEX, ROWS // 50)


@pytest.mark.parametrize("select", [statistics.select_counts, statistics.select_percentiles])
def test_qh3_the_last_day_reads_the_last_day(
    crowd: Database, select: Callable[..., Select[Any]]
) -> None:
    found = explained(crowd, select(days_ago(1), None))
    assert_bounded(found, STATUS_INDEX, PER_DAY + 24 * 60)


def test_rl5_who_reached_the_limit_reads_the_range_and_a_day(crowd: Database) -> None:
    found = explained(crowd, statistics.select_who_reached_limit(5, days_ago(1), None))
    assert_bounded(found, STATUS_INDEX, 2 * (PER_DAY + 24 * 60))


def assert_bounded(found: Plan, index: str, rows: int) -> None:
    """One index was asked, and no more than `rows` of the table read (a bitmap's scan is two)."""
    assert found.indexes - {None} == {index}
    kinds = found.kinds
    assert kinds <= {"Index Scan", "Index Only Scan", "Bitmap Index Scan", "Bitmap Heap Scan"}
    assert found.rows_read <= (2 if "Bitmap Heap Scan" in kinds else 1) * rows
    assert found.is_quick
