"""With 50,000 in line, a turn, a place and a sweep cost what they cost with a few."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Connection, text

from db import leases, pacing, progress
from db.engine import Database
from tests.conftest import MakeDatabase
from tests.db.plans import Plan, filled, plan, plans
from tests.db.queues import LEAD, VALID
from tests.db.rows import LEASE

WAITING, BACKING_OFF, LIMIT = 50_000, 30, 50
LINE = "idx_video_requests_waiting"
DUE = "idx_video_requests_due"


@pytest.fixture(scope="module")
def queue(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    """As many as never were, of whom the first have met a provider that was busy."""
    requests = """
        INSERT INTO video_requests (
          user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio,
          resolution, status, fair_at, due_at
        )
        SELECT
          'user ' || n % 5000, 'guild', 'channel', 'A prompt', 4, '16:9', '720p',
          'pending',
          now() + n * interval '1 second',
          CASE WHEN n <= :backing_off
            THEN now() + interval '1 hour'
            ELSE 'infinity'
          END
        FROM generate_series(1, :waiting) AS n
        """
    tokens = """
        INSERT INTO reply_tokens (request_id, application_id, token, expires_at)
        SELECT id, '1', 'token', now() + interval '15 minutes'
        FROM video_requests
        """
    many = {"waiting": WAITING, "backing_off": BACKING_OFF}
    with filled(make_database, template, requests, tokens, **many) as database:
        yield database


def give(conn: Connection) -> list[UUID]:
    return pacing.give(conn, limit=LIMIT, valid=VALID, lead=LEAD)


def reads(found: Plan, index: str) -> int:
    assert found.kinds <= {"Index Scan", "Index Only Scan", "CTE Scan"}
    return sum(read for _, by, read in found.scans if by == index)


def test_a_turn_is_found_at_the_front(queue: Database) -> None:
    with queue.begin() as conn:
        *_, giving = plans(conn, give)
    assert reads(giving, LINE) == BACKING_OFF + LIMIT
    assert giving.rows_read < 5 * LIMIT
    assert giving.is_quick


def test_turns_are_counted_by_their_time(queue: Database) -> None:
    """Also when a thousand a minute are allowed."""
    with queue.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO start_turns SELECT gen_random_uuid(), NULL,"
                " now() - n * interval '59 ms' FROM generate_series(1, 1000) AS n"
            )
        )
        conn.execute(text("ANALYZE start_turns"))
        *_, counted = plans(conn, give)
        taken = plan(conn, lambda conn: pacing.take(conn, UUID(int=1), lead=LEAD))
        conn.rollback()
    # All of the table: nothing stays in it that does not count.
    assert counted.rows_read == 1000
    assert taken.indexes == {"idx_start_turns_request"}


@pytest.mark.parametrize(("position", "place"), [(BACKING_OFF, 31), (900, 901), (40_000, 1001)])
def test_a_place_is_counted_to_a_bound(queue: Database, position: int, place: int) -> None:
    with queue.begin() as conn:
        request_id = conn.execute(
            text(
                "SELECT id FROM video_requests WHERE status = 'pending'"
                " ORDER BY fair_at OFFSET :position LIMIT 1"
            ),
            {"position": position},
        ).scalar_one()
        found = plan(conn, lambda conn: pacing.place(conn, request_id))
        assert pacing.place(conn, request_id) == place
    assert reads(found, LINE) == place - 1
    assert found.is_quick


@pytest.mark.parametrize(
    "question",
    [
        lambda conn: leases.take_due(conn, limit=1000, lease=LEASE, is_paced=True),
        lambda conn: leases.take_due(conn, limit=1000, lease=LEASE),
    ],
    ids=["paced", "unpaced"],
)
def test_a_sweep_does_not_see_who_stands_in_line(
    queue: Database, question: Callable[[Connection], object]
) -> None:
    with queue.begin() as conn:
        found = plan(conn, question)
    assert found.indexes >= {DUE}
    assert found.rows_read == 0


def test_those_in_front_are_found_at_the_front(queue: Database) -> None:
    with queue.begin() as conn:
        found = plan(
            conn, lambda conn: progress.in_front(conn, first=50, every=timedelta(seconds=15))
        )
    assert reads(found, LINE) == BACKING_OFF + 50
    assert found.rows_read < 5 * 50


def test_that_nobody_stands_in_line_is_seen_at_once(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        found = plan(conn, leases.leave_line)
    assert found.scans == [("Index Scan", DUE, 0)]
