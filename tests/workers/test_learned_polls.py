"""A worker asks about what it knows the time of when that time has come, and not before (VD2)."""

from uuid import UUID

import pytest
from sqlalchemy import text

from db.records import Request
from db.states import Status
from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System

KNOWN, NEW = 8, 6
"""Seconds of video: such requests are known to take two minutes, and of such nothing is known."""


@pytest.fixture(scope="module")
def system(make_shared_system: MakeSystem) -> System:
    """A provider whose videos are there at once, though it took its time before."""
    found = make_shared_system(RESCUE_AFTER_SECONDS=1)
    remember(found)
    found.start_worker(concurrency=1)
    return found


def remember(system: System) -> None:
    """Requests of the past that took two minutes."""
    with system.database.begin() as conn:
        conn.execute(
            text(
                "INSERT INTO video_requests (user_id, guild_id, channel_id, prompt, model,"
                " duration_seconds, aspect_ratio, resolution, status, started_at, completed_at,"
                " duration_ms) SELECT 'earlier', 'g', 'c', 'a fox', 'sandbox', :known, '16:9',"
                " '720p', 'completed', now(), now(), 120000 FROM generate_series(1, 20)"
            ),
            {"known": KNOWN},
        )


def asked(system: System, duration_seconds: int) -> UUID:
    [request_id] = system.submit(new_request(duration_seconds=duration_seconds))
    return request_id


def waits(row: Request) -> float:
    """Seconds from its start to the next look at it."""
    if row.due_at is None or row.started_at is None:
        return 0
    return (row.due_at - row.started_at).total_seconds()


def age(system: System, request_id: UUID, seconds: float) -> None:
    """As if it had been started that much earlier, and were due now."""
    with system.database.begin() as conn:
        conn.execute(
            text(
                "UPDATE video_requests SET due_at = now(),"
                " started_at = started_at - :passed * interval '1 second' WHERE id = :id"
            ),
            {"passed": seconds, "id": request_id},
        )


def test_nothing_is_asked_before_a_result_is_likely(system: System) -> None:
    request_id = asked(system, KNOWN)
    parked = system.wait_for_row(request_id, lambda row: waits(row) > 60)
    assert waits(parked) == pytest.approx(0.9 * 120, abs=2)
    # What is known of one kind says nothing of another, which is asked about at once.
    [other] = system.wait_until_ended([asked(system, NEW)])
    assert other.status is Status.COMPLETED
    # Who looks too early does not ask: the video has been there all the time.
    age(system, request_id, 10)
    again = system.wait_for_row(request_id, lambda row: waits(row) > 60)
    assert (again.status, again.attempts) == (Status.GENERATING, 0)
    age(system, request_id, 100)
    [ended] = system.wait_until_ended([request_id])
    assert ended.status is Status.COMPLETED


def test_what_is_known_never_goes_beyond_the_deadline(make_system: MakeSystem) -> None:
    """Where such videos took longer than they may now, the one question is that at the end."""
    system = make_system(GENERATION_TIMEOUT_SECONDS=2)
    remember(system)
    system.start_worker(concurrency=1)
    [ended] = system.wait_until_ended([asked(system, KNOWN)])
    assert ended.status is Status.COMPLETED
    assert ended.duration_ms is not None
    assert ended.duration_ms >= 2000
