"""EV1, EV2: downloads, and what happened last to a user's requests."""

from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from db import events
from db.engine import Database
from db.events import USER_AGENT_LENGTH, EventType
from db.settings import DatabaseSettings
from db.states import Status
from tests.db.plans import OF_ALICE, crowd, plan
from tests.db.rows import admitted, in_state
from tests.db.test_read_plans import LIST_INDEX, USER_INDEX

__all__ = ["crowd"]


def test_ev1_a_download_is_told_with_its_ip_and_user_agent(database: Database) -> None:
    request_id = in_state(database, Status.COMPLETED, claim=uuid4())
    events.record_download(database, request_id, ip="2001:db8::7", user_agent="curl/8")
    with database.begin() as conn:
        *_, last = events.of_request(conn, request_id)
    assert last.event_type == EventType.DOWNLOADED
    assert last.event_data == {"ip": "2001:db8::7", "user_agent": "curl/8"}


def test_ev1_a_user_agent_of_any_length_is_told_as_far_as_it_goes(database: Database) -> None:
    request_id = admitted(database)
    events.record_download(database, request_id, ip="::1", user_agent="x\0" * 9_000)
    with database.begin() as conn:
        *_, last = events.of_request(conn, request_id)
    assert len(last.event_data["user_agent"]) == USER_AGENT_LENGTH


def test_ev1_a_download_whose_event_cannot_be_written_still_succeeds(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    request_id = uuid4()
    # There is no such request, and then no database either.
    events.record_download(database, request_id, ip="::1", user_agent="curl/8")
    nowhere = DatabaseSettings.model_validate({"database_url": "postgresql://127.0.0.1:1/none"})
    events.record_download(Database(nowhere), request_id, ip="::1", user_agent="curl/8")
    assert capsys.readouterr().out.count("download_not_recorded") == 2


def test_ev2_the_recent_events_of_a_user_are_the_newest_of_all_requests(
    database: Database,
) -> None:
    first, second = (admitted(database) for _ in range(2))
    admitted(database, user_id="bob")
    with database.begin() as conn:
        for request_id in (second, first):
            events.record(conn, request_id, EventType.ARCHIVED, {})
        found = events.of_user(conn, "alice")
        assert [(each.request_id, each.event_type) for each in found] == [
            (first, "archived"),
            (second, "archived"),
            (second, "created"),
            (first, "created"),
        ]
        assert events.of_user(conn, "alice", limit=1) == found[:1]
        assert events.of_user(conn, "nobody") == []


def test_ev2_a_users_events_are_read_by_indexes(crowd: Database) -> None:
    def recent(conn: Connection) -> object:
        return events.of_user(conn, "alice")

    with crowd.begin() as conn:
        conn.execute(
            text(
                """
                INSERT INTO video_events (request_id, event_type)
                SELECT id, 'created'
                FROM video_requests
                """
            )
        )
        conn.execute(text("ANALYZE video_events"))
        found = plan(conn, recent)
        conn.rollback()
    assert found.indexes <= {LIST_INDEX, USER_INDEX, "idx_video_events_request", None}
    assert "Seq Scan" not in found.kinds, found.scans
    assert found.rows_read <= 3 * OF_ALICE
