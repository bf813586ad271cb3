"""RT2 to RT5: the state machine, through the functions of db.requests and behind their back."""

from itertools import product
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from db import events, requests
from db.engine import Database
from db.errors import InvalidStatusTransition, RequestNotFound
from db.records import Request
from db.states import Status
from tests.db.rows import URLS, admitted, end, in_state, moves_of, row, start

ALLOWED = {
    ("pending", "generating"),
    ("generating", "completed"),
    ("generating", "failed"),
    ("generating", "timeout"),
}
PAIRS = list(product(Status, Status))
TO_A_FUNCTION = [(old, new) for old, new in PAIRS if new is not Status.PENDING]
CLAIM = uuid4()

#: What a hand-made UPDATE sets to satisfy the target's own rules.
BY_HAND = {
    Status.PENDING: "status = 'pending'",
    Status.GENERATING: "status = 'generating', started_at = now()",
    **{
        ended: f"status = '{ended}', started_at = now(), completed_at = now(), duration_ms = 7"
        for ended in (Status.COMPLETED, Status.FAILED, Status.TIMEOUT)
    },
}


def move(database: Database, request_id: UUID, target: Status) -> Request:
    with database.begin() as conn:
        if target is Status.GENERATING:
            return start(conn, request_id, CLAIM)
        return end(conn, request_id, target)


@pytest.mark.parametrize(("old", "new"), TO_A_FUNCTION)
def test_rt2_a_move_through_its_function(database: Database, old: Status, new: Status) -> None:
    request_id = in_state(database, old, claim=CLAIM)
    before = row(database, request_id)
    told = moves_of(database, request_id)
    with capture_logs() as logs:
        if (old, new) in ALLOWED:
            assert move(database, request_id, new).status is new
        elif old is new:
            assert move(database, request_id, new) == before
        else:
            with pytest.raises(InvalidStatusTransition, match=r"^Invalid status transition"):
                move(database, request_id, new)

    if (old, new) in ALLOWED:
        assert row(database, request_id).status is new
        assert moves_of(database, request_id) == [*told, (old, new)]
        assert [log["log_level"] for log in logs] == ["info"]
    else:
        assert row(database, request_id) == before
        assert moves_of(database, request_id) == told
        warned = [] if old is new else [("invalid_status_transition", "warning", old, new)]
        assert [
            (log["event"], log["log_level"], log["old_status"], log["new_status"]) for log in logs
        ] == warned


@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_rt2_a_move_by_hand(
    database: Database, outsider: psycopg2.extensions.connection, old: Status, new: Status
) -> None:
    request_id = in_state(database, old, claim=CLAIM)
    before = row(database, request_id)
    statement = f"UPDATE video_requests SET {BY_HAND[new]} WHERE id = %s"  # noqa: S608
    with outsider, outsider.cursor() as cursor:
        if old is new or (old, new) in ALLOWED:
            cursor.execute(statement, (str(request_id),))
            assert cursor.rowcount == 1
        else:
            with pytest.raises(psycopg2.errors.CheckViolation, match=r"^Invalid status transition"):
                cursor.execute(statement, (str(request_id),))

    after = row(database, request_id)
    if (old, new) in ALLOWED:
        assert after.status is new
        # RT3: what is there is never overwritten.
        assert after.started_at == (before.started_at or after.started_at)
    else:
        assert after == before


@pytest.mark.parametrize("target", [status for status in Status if status is not Status.PENDING])
def test_rt2_a_request_that_does_not_exist_cannot_move(database: Database, target: Status) -> None:
    with pytest.raises(RequestNotFound):
        move(database, uuid4(), target)
    with database.begin() as conn:
        assert conn.execute(text("SELECT count(*) FROM video_events")).scalar() == 0


@pytest.mark.parametrize("status", list(Status))
def test_rt2_no_row_contradicts_its_status(
    database: Database, outsider: psycopg2.extensions.connection, status: Status
) -> None:
    request_id = in_state(database, status, claim=CLAIM)
    wrong = "started_at = now()" if status is Status.PENDING else "started_at = NULL"
    statement = f"UPDATE video_requests SET {wrong} WHERE id = %s"  # noqa: S608
    refused = pytest.raises(psycopg2.errors.CheckViolation, match="status_fits_timestamps")
    with outsider.cursor() as cursor, refused:
        cursor.execute(statement, (str(request_id),))


def test_rt4_generating_carries_what_the_provider_gave(database: Database) -> None:
    request = row(database, in_state(database, Status.GENERATING, claim=CLAIM))
    assert request.operation_name == "operations/1"
    assert request.gcs_prefix == "gs://bucket/request/"
    assert request.started_at is not None
    assert request.completed_at is None


@pytest.mark.parametrize(
    ("status", "urls", "code", "message"),
    [
        (Status.COMPLETED, URLS, None, None),
        (Status.FAILED, None, "internal", "It went wrong"),
        (Status.TIMEOUT, None, "timeout", "Generation timed out after 5 minutes"),
    ],
)
def test_rt4_rt5_an_ending_carries_its_result_and_its_time(
    database: Database,
    outsider: psycopg2.extensions.connection,
    status: Status,
    urls: list[str] | None,
    code: str | None,
    message: str | None,
) -> None:
    request_id = in_state(database, Status.GENERATING, claim=CLAIM)
    with outsider, outsider.cursor() as cursor:
        cursor.execute(
            "UPDATE video_requests SET"
            " created_at = now() - interval '100 s', started_at = now() - interval '90 s'"
        )
    with capture_logs() as logs:
        move(database, request_id, status)
    request = row(database, request_id)
    assert (request.video_urls, request.error_code, request.error_message) == (urls, code, message)
    assert request.due_at is None
    assert request.started_at
    assert request.completed_at
    assert request.duration_ms
    took = (request.completed_at - request.started_at).total_seconds()
    assert request.duration_ms == pytest.approx(took * 1000, abs=1)
    assert 90_000 <= request.duration_ms < 150_000
    assert request.queueing_ms == 10_000
    # LG1, and RT5's labels.
    (log,) = logs
    labels = {"status": status, "duration_seconds": 4, "aspect_ratio": "16:9"}
    told = {
        "event": "request_status_changed",
        "log_level": "info",
        "request_id": str(request_id),
        "old_status": "generating",
        "new_status": status,
        "duration_ms": request.duration_ms,
        "labels": labels,
    }
    assert log == told | ({"error_message": message} if status is Status.FAILED else {})


def test_rt5_queueing_time_is_logged_at_the_start(database: Database) -> None:
    request_id = admitted(database, claim=CLAIM)
    with capture_logs() as logs:
        move(database, request_id, Status.GENERATING)
    assert logs[0]["queueing_ms"] == row(database, request_id).queueing_ms
    assert logs[0]["labels"]["status"] == "generating"


def test_ev1_a_failure_is_told_twice_as_a_move_and_with_its_code(database: Database) -> None:
    request_id = in_state(database, Status.FAILED, claim=CLAIM)
    with database.begin() as conn:
        told = [
            (event.event_type, event.event_data) for event in events.of_request(conn, request_id)
        ]
    assert [kind for kind, _ in told] == ["created", "status_changed", "status_changed", "failed"]
    assert told[-1] == ("failed", {"error_code": "internal"})


def test_ev1_a_move_and_its_event_are_undone_together(database: Database) -> None:
    request_id = in_state(database, Status.GENERATING, claim=CLAIM)

    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        requests.complete(conn, request_id, URLS)
        _ = 1 / 0
    assert row(database, request_id).status is Status.GENERATING
    assert moves_of(database, request_id) == [("pending", "generating")]
