"""Requests in every state, made the way the system makes them."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from db import admission, events, leases, requests
from db.engine import Database
from db.events import EventType
from db.records import NewRequest, Request
from db.standing import Admission
from db.states import Status

LEASE = timedelta(seconds=60)
PREFIX = "gs://bucket/request/"
URLS = [f"{PREFIX}video.mp4"]


def new_request(**changes: Any) -> NewRequest:
    fields: dict[str, Any] = {
        "id": uuid4(),
        "user_id": "alice",
        "guild_id": "guild",
        "channel_id": "channel",
        "prompt": "A lighthouse in a storm, seen from the sea",
    }
    return NewRequest(**fields | changes)


def admit_one(conn: Connection, new: NewRequest, *, limit: int = 5, quota: int = 1000) -> Admission:
    return admission.admit(conn, new, daily_limit=limit, monthly_quota=quota, lease=LEASE)


def admit(database: Database, *, limit: int = 5, quota: int = 1000, **changes: Any) -> Admission:
    with database.autocommit() as conn:
        return admit_one(conn, new_request(**changes), limit=limit, quota=quota)


def admitted(database: Database, *, claim: UUID | None = None, **changes: Any) -> UUID:
    """A pending request, claimed where `claim` is given."""
    new = new_request(**changes)
    with database.autocommit() as conn:
        admit_one(conn, new, limit=1000)
        if claim:
            leases.claim(conn, new.id, claim, lease=LEASE)
    return new.id


def start(conn: Connection, request_id: UUID, claim: UUID) -> Request:
    return requests.start(
        conn,
        request_id,
        claim,
        operation_name="operations/1",
        gcs_prefix=PREFIX,
        due_in=LEASE,
    )


def in_state(database: Database, status: Status, *, claim: UUID, **changes: Any) -> UUID:
    """A request that got to `status` by the ordinary way; `claim` is the one it was started by."""
    request_id = admitted(database, claim=claim, **changes)
    with database.begin() as conn:
        if status is not Status.PENDING:
            start(conn, request_id, claim)
        if status.has_ended:
            end(conn, request_id, status)
    return request_id


def end(conn: Connection, request_id: UUID, status: Status) -> Request:
    match status:
        case Status.COMPLETED:
            return requests.complete(conn, request_id, URLS)
        case Status.FAILED:
            return requests.fail(conn, request_id, code="internal", message="It went wrong")
        case Status.TIMEOUT:
            message = "Generation timed out after 5 minutes"
            return requests.time_out(conn, request_id, message=message)
    raise ValueError(status)


def row(database: Database, request_id: UUID) -> Request:
    with database.begin() as conn:
        found = requests.get(conn, request_id)
    assert found is not None
    return found


def moves(conn: Connection, request_id: UUID) -> list[tuple[str, str]]:
    """The moves that the request's events tell of."""
    return [
        (event.event_data["from"], event.event_data["to"])
        for event in events.of_request(conn, request_id)
        if event.event_type == EventType.STATUS_CHANGED
    ]


def moves_of(database: Database, request_id: UUID) -> list[tuple[str, str]]:
    with database.begin() as conn:
        return moves(conn, request_id)


def make_due(database: Database, *request_ids: UUID) -> None:
    """Their time has come, of the first the longest ago."""
    with database.begin() as conn:
        # From the last to the first, so that the table does not have them in this order by itself.
        for position, request_id in reversed([*enumerate(request_ids)]):
            conn.execute(
                text(
                    "UPDATE video_requests"
                    " SET due_at = now() - interval '1 hour' + :position * interval '1 second'"
                    " WHERE id = :id"
                ),
                {"id": request_id, "position": position},
            )
