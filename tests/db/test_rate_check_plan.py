"""RL4: what is asked often is answered from an index, however many rows there are."""

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from db import events, leases, limits
from db.engine import Database
from db.states import Status
from tests.db.plans import ROWS, crowd, plan
from tests.db.rows import LEASE, admit_one, admitted, end, in_state, new_request, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["crowd"]

LIMIT, QUOTA = 5, 100
#: Rows of user_quotas, which are so few that no index is worth it.
OVERRIDES = 2
READS = text(
    """
    SELECT seq_tup_read, idx_tup_fetch
    FROM pg_stat_xact_user_tables
    WHERE relname = 'video_requests'
    """
)


def test_the_plans_below_would_show_a_scan_of_the_table(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: conn.execute(text("SELECT * FROM video_requests")))
    assert found.scans == [("Seq Scan", None, ROWS)]


@pytest.mark.parametrize("user", ["alice", "user 7", "nobody"])
def test_rl4_the_rate_check_reads_as_many_rows_as_the_limit(crowd: Database, user: str) -> None:
    def look(conn: Connection) -> None:
        # What the function of the check asks, for a function keeps its own plan to itself.
        conn.execute(
            text("SELECT * FROM daily_standing(:user_id, :daily_limit, now())"),
            {"user_id": user, "daily_limit": LIMIT},
        )

    with crowd.begin() as conn:
        found = plan(conn, look)
        check = plan(conn, lambda conn: limits.get_rate_limit_info(conn, user, LIMIT))
        scanned_before, fetched_before = conn.execute(READS).one()
        limits.get_rate_limit_info(conn, user, LIMIT)
        scanned, fetched = conn.execute(READS).one()
    assert "idx_video_requests_user_created" in found.indexes
    assert found.rows_read <= LIMIT + OVERRIDES
    assert scanned == scanned_before
    assert fetched - fetched_before <= LIMIT
    assert check.is_quick


@pytest.mark.parametrize("user", ["alice", "user 7", "nobody"])
def test_rl4_the_standing_reads_as_many_rows_as_the_limits(crowd: Database, user: str) -> None:
    def look(conn: Connection) -> None:
        conn.execute(
            limits._LIMITS, {"user_id": user, "daily_limit": LIMIT, "monthly_quota": QUOTA}
        )

    with crowd.begin() as conn:
        found = plan(conn, look)
    assert "idx_video_requests_user_created" in found.indexes
    assert found.rows_read <= LIMIT + QUOTA + 2 * OVERRIDES
    assert found.is_quick


def test_rl4_admission_reads_as_many_rows_as_the_limits(crowd: Database) -> None:
    # Again and again in one session, for a procedure's plans change after a few calls.
    with crowd.begin() as conn:
        for _ in range(12):
            scanned_before, fetched_before = conn.execute(READS).one()
            new = new_request(user_id="alice")
            assert not admit_one(conn, new, limit=LIMIT, quota=QUOTA).is_allowed
            scanned, fetched = conn.execute(READS).one()
            assert scanned == scanned_before
            assert fetched - fetched_before <= LIMIT + QUOTA


def test_the_sweeper_reads_what_it_takes(crowd: Database) -> None:
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: leases.take_due(conn, limit=50, lease=LEASE))
    assert found.indexes <= {"idx_video_requests_due", "video_requests_pkey", None}
    assert "idx_video_requests_due" in found.indexes
    assert "Seq Scan" not in found.kinds
    assert found.is_quick


@pytest.mark.parametrize("move", ["claim", "release", "start", "complete", "take_up", "park"])
def test_every_step_of_a_request_goes_by_its_id(crowd: Database, move: str) -> None:
    claim = uuid4()
    if move == "claim":
        request_id = admitted(crowd, user_id=str(uuid4()))
    else:
        state = Status.GENERATING if move == "complete" else Status.PENDING
        request_id = in_state(crowd, state, claim=claim, user_id=str(uuid4()))
    steps: dict[str, Callable[[Connection], object]] = {
        "claim": lambda conn: leases.claim(conn, request_id, claim, lease=LEASE),
        "release": lambda conn: leases.release(conn, request_id, claim, due_in=LEASE),
        "start": lambda conn: start(conn, request_id, claim),
        "complete": lambda conn: end(conn, request_id, Status.COMPLETED),
        "take_up": lambda conn: leases.take_up(conn, [request_id], lease=LEASE),
        "park": lambda conn: leases.park(conn, {request_id: LEASE}, is_progress=True),
    }
    with crowd.begin() as conn:
        found = plan(conn, steps[move])
    reads = [scan for scan in found.scans if scan[0] not in ("CTE Scan", "Function Scan")]
    assert [(index, read) for _, index, read in reads] == [("video_requests_pkey", 1)]
    assert found.is_quick


def test_a_requests_events_are_read_by_their_request(crowd: Database) -> None:
    with crowd.autocommit() as conn:
        conn.execute(
            text(
                """
                INSERT INTO video_events (request_id, event_type)
                SELECT id, 'status_changed'
                FROM video_requests
                LIMIT 20000
                """
            )
        )
        conn.execute(text("ANALYZE video_events"))
    request_id = in_state(crowd, Status.COMPLETED, claim=uuid4(), user_id=str(uuid4()))
    with crowd.begin() as conn:
        found = plan(conn, lambda conn: events.of_request(conn, request_id))
    assert found.indexes == {"idx_video_events_request"}
    assert found.rows_read == 3
