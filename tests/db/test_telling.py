"""The log tells of a transition when it stands, and of none that never came to be (LG1)."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from db import requests
from db.engine import Database
from db.errors import DatabaseError, DatabaseUnavailable
from db.states import Status
from tests.db.rows import URLS, admitted, in_state, row

CLAIM = uuid4()

#: What a deferred constraint does: every statement is well, and the commit is refused.
REFUSE_COMMIT = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'not today' USING ERRCODE = 'check_violation';
END
$$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT OR UPDATE ON video_requests
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
"""

Outsider = psycopg2.extensions.connection


def told(logs: list[Any]) -> list[str]:
    """The states that the log has transitions to."""
    return [str(line["new_status"]) for line in logs if line["event"] == "request_status_changed"]


@pytest.fixture
def request_id(database: Database) -> UUID:
    return in_state(database, Status.GENERATING, claim=CLAIM)


def test_a_transition_is_told_after_the_commit(database: Database, request_id: UUID) -> None:
    with capture_logs() as logs:
        with database.begin() as conn:
            requests.complete(conn, request_id, URLS)
            assert told(logs) == []
        assert told(logs) == ["completed"]
    assert row(database, request_id).status is Status.COMPLETED


def test_two_transitions_are_told_in_order(database: Database) -> None:
    request_id = admitted(database, claim=CLAIM)
    with capture_logs() as logs, database.begin() as conn:
        requests.refuse(conn, request_id, code="refused", message="No", claim=CLAIM)
    assert told(logs) == ["generating", "failed"]


def test_in_autocommit_a_transition_is_told_at_once(database: Database, request_id: UUID) -> None:
    """Whatever comes after it: it stands."""
    with (  # noqa: PT012
        capture_logs() as logs,
        pytest.raises(DatabaseError, match="division by zero"),
        database.autocommit() as conn,
    ):
        requests.complete(conn, request_id, URLS)
        assert told(logs) == ["completed"]
        conn.execute(text("SELECT 1 / 0"))
    assert row(database, request_id).status is Status.COMPLETED


def refused_commit(_conn: Connection, outsider: Outsider) -> None:
    with outsider, outsider.cursor() as cursor:
        cursor.execute(REFUSE_COMMIT)


def ended_session(conn: Connection, outsider: Outsider) -> None:
    pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with outsider, outsider.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 10000)", [pid])
        assert cursor.fetchone() == (True,)


def error_of_the_caller(_conn: Connection, _outsider: Outsider) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("spoil", "is_before", "expected"),
    [
        (refused_commit, True, DatabaseError),
        (ended_session, False, DatabaseUnavailable),
        (error_of_the_caller, False, ZeroDivisionError),
    ],
)
def test_a_transition_that_was_not_committed_is_not_told(
    database: Database,
    outsider: Outsider,
    request_id: UUID,
    spoil: Callable[[Connection, Outsider], None],
    is_before: bool,
    expected: type[Exception],
) -> None:
    with capture_logs() as logs:
        with pytest.raises(expected), database.begin() as conn:  # noqa: PT012
            if is_before:
                spoil(conn, outsider)
            requests.complete(conn, request_id, URLS)
            if not is_before:
                spoil(conn, outsider)
        # Nor by the next one who gets the connection.
        assert row(database, request_id).status is Status.GENERATING
    assert told(logs) == []


def test_a_request_that_was_not_committed_is_not_told(
    database: Database, outsider: Outsider
) -> None:
    with outsider, outsider.cursor() as cursor:
        cursor.execute(REFUSE_COMMIT)
    with capture_logs() as logs, pytest.raises(DatabaseError, match="not today"):
        admitted(database)
    assert logs == []
