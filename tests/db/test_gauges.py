"""The figures for monitoring: true, and read from what is recent or has not ended alone."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from db import gauges, leases, pacing, requests
from db.engine import Database
from db.gauges import Latencies
from db.states import Status
from tests.db.plans import ROWS
from tests.db.plans import crowd as unvacuumed
from tests.db.rows import LEASE, admitted, in_state, make_due
from tests.db.test_read_plans import PER_DAY, STATUS_INDEX, assert_bounded, crowd, explained

__all__ = ["crowd", "unvacuumed"]

OPEN = ROWS // 500


def execute(database: Database, statement: str, **values: Any) -> None:
    with database.begin() as conn:
        conn.execute(text(statement), values)


def recent(database: Database) -> gauges.Recent:
    with database.autocommit() as conn:
        return gauges.of_recent(conn)


def latencies(database: Database) -> Latencies:
    with database.autocommit() as conn:
        return gauges.of_latencies(conn)


def opened(database: Database) -> gauges.Open:
    with database.autocommit() as conn:
        return gauges.of_open(conn)


def test_of_nothing_there_are_no_figures_but_zeros(database: Database) -> None:
    found = opened(database)
    assert found.by_status == {Status.PENDING: 0, Status.GENERATING: 0}
    assert (found.in_flight, found.overdue) == (0, 0)
    assert (found.oldest_pending, found.longest_overdue) == (0, 0)
    assert recent(database).of_last_day == dict.fromkeys(Status, 0)
    assert recent(database).spent_usd == 0
    assert latencies(database) == Latencies({}, {})


def test_a_request_counts_for_as_long_as_its_window(database: Database) -> None:
    for age in ("59 minutes", "61 minutes", "23 hours 59 minutes", "24 hours 1 minute"):
        request_id = in_state(
            database, Status.COMPLETED, claim=uuid4(), user_id=age, cost_usd=Decimal(1)
        )
        execute(
            database,
            "UPDATE video_requests SET created_at = now() - CAST(:age AS interval) WHERE id = :id",
            age=age,
            id=request_id,
        )
    found = recent(database)
    assert found.of_last_hour[Status.COMPLETED] == 1
    assert found.of_last_day[Status.COMPLETED] == 3
    assert found.spent_usd == 3


def test_who_waits_for_a_turn_is_not_overdue(database: Database) -> None:
    waiting = admitted(database)
    make_due(database, waiting)
    assert opened(database).overdue == 1
    with database.begin() as conn:
        pacing.line_up(conn, waiting)
    found = opened(database)
    assert (found.by_status[Status.PENDING], found.in_flight) == (1, 0)
    assert (found.overdue, found.longest_overdue) == (0, 0)


def test_money_given_back_is_not_spent_and_that_of_rows_that_are_gone_is(
    database: Database,
) -> None:
    in_state(database, Status.COMPLETED, claim=uuid4(), cost_usd=Decimal("0.4"))
    given_back = in_state(database, Status.FAILED, claim=uuid4(), cost_usd=Decimal(5))
    execute(database, "UPDATE video_requests SET billed = false WHERE id = :id", id=given_back)
    for hours in (1, 25):
        execute(
            database,
            "INSERT INTO request_remnants (user_id, guild_id, created_at, cost_usd)"
            " VALUES ('alice', 'guild', now() - :hours * interval '1 hour', 0.03)",
            hours=hours,
        )
    assert recent(database).spent_usd == Decimal("0.43")


def test_deliveries_are_told_by_how_they_stand(database: Database) -> None:
    made = [in_state(database, Status.COMPLETED, claim=uuid4()) for _ in range(3)]
    for request_id, attempts in zip(made, (2, 1), strict=False):
        execute(
            database,
            "UPDATE video_requests SET delivery_due_at = now(), delivery_attempts = :attempts,"
            " delivered_at = CASE WHEN :attempts = 1 THEN now() END WHERE id = :id",
            id=request_id,
            attempts=attempts,
        )
    found = recent(database)
    assert (found.delivered, found.undelivered, found.delivery_attempts) == (1, 1, 3)


def test_latencies_are_those_of_the_last_hour(database: Database) -> None:
    for seconds in range(1, 12):
        request_id = in_state(database, Status.COMPLETED, claim=uuid4(), user_id=str(seconds))
        execute(
            database,
            "UPDATE video_requests SET duration_ms = :ms,"
            " created_at = started_at - :seconds * interval '2 seconds' WHERE id = :id",
            ms=seconds * 1000,
            seconds=seconds,
            id=request_id,
        )
    found = latencies(database)
    assert found.duration == pytest.approx({0.5: 6, 0.95: 10.5, 0.99: 10.9})
    assert found.queueing == pytest.approx({0.5: 12, 0.95: 21, 0.99: 21.8})


def test_what_the_sweeper_takes_up_after_an_attempt_to_no_end_is_a_rescue(
    database: Database,
) -> None:
    names = ("parked", "left behind", "its poll failed", "waits for its start", "claimed")
    made = {}
    for name in names:
        claim = uuid4()
        if name == "waits for its start":
            made[name] = admitted(database, claim=claim, user_id=name)
            with database.autocommit() as conn:
                leases.release(conn, made[name], claim, due_in=timedelta(0))
        elif name == "claimed":
            made[name] = admitted(database, claim=claim, user_id=name)
        else:
            made[name] = in_state(database, Status.GENERATING, claim=claim, user_id=name)
            with database.autocommit() as conn:
                leases.take_up(conn, [made[name]], lease=LEASE)
                delays = {made[name]: timedelta(0)}
                if name != "left behind":
                    leases.park(conn, delays, is_progress=name == "parked")
    make_due(database, *made.values())
    with database.autocommit() as conn:
        due = leases.take_due(conn, limit=10, lease=LEASE)
        rescues = {name: requests.get(conn, made[name]) for name in names}
    assert {row.id for row in due} == {*made.values()}
    assert {name: row and row.rescues for name, row in rescues.items()} == {
        "parked": 0,
        "left behind": 1,
        "its poll failed": 1,
        "waits for its start": 0,
        "claimed": 1,
    }
    assert recent(database).rescues == 3


# --- Plans ------------------------------------------------------------------------------------


def test_what_has_not_ended_is_found_without_the_rest(crowd: Database) -> None:
    found = explained(crowd, gauges.select_open())
    assert found.indexes - {None} <= {"idx_video_requests_due", STATUS_INDEX}
    assert "Seq Scan" not in found.kinds
    assert found.rows_read <= 2 * OPEN
    assert found.is_quick


def test_the_last_day_is_read_without_the_rest(crowd: Database) -> None:
    # The crowd has three requests a minute, and alice one more.
    assert_bounded(explained(crowd, gauges.select_recent()), STATUS_INDEX, PER_DAY + 24 * 60)


def test_the_last_hour_is_read_without_the_rest(crowd: Database) -> None:
    found = explained(crowd, gauges.select_latencies())
    assert_bounded(found, STATUS_INDEX, PER_DAY // 24 + 60 + 5)


def test_remnants_are_read_by_their_time(crowd: Database) -> None:
    execute(
        crowd,
        "INSERT INTO request_remnants (user_id, guild_id, created_at, cost_usd)"
        " SELECT 'gone', 'guild', now() - n * interval '1 minute', 0.03"
        " FROM generate_series(1, :rows) AS n",
        rows=20_000,
    )
    with crowd.autocommit() as conn:
        conn.execute(text("VACUUM ANALYZE request_remnants"))
    found = explained(crowd, gauges.select_spent_on_remnants())
    assert_bounded(found, "idx_request_remnants_created", 24 * 60 + 5)
