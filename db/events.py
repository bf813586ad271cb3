"""The event log (EV1): what happened to a request, in the transaction of the change it tells of."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection, insert, select, true

from db.engine import Database
from db.errors import DatabaseError
from db.records import Event
from db.tables import video_events, video_requests

log = structlog.get_logger(__name__)

USER_AGENT_LENGTH: Final = 500
"""Characters of it that are kept."""


class EventType(StrEnum):
    """What an event tells of, always in the past tense."""

    CREATED = "created"
    STATUS_CHANGED = "status_changed"
    FAILED = "failed"
    #: The request was made from another; the data names it.
    REMIXED = "remixed"
    DOWNLOADED = "downloaded"
    ARCHIVED = "archived"
    #: Taken out of the archive.
    RESTORED = "restored"
    DELETED = "deleted"
    #: The provider accepted after the request had been given up, or been found by its output.
    ACCEPTED_LATE = "accepted_late"
    #: The video appeared after the timeout; the data tells how many files, and what it changed.
    LATE_RESULT = "late_result"
    #: The answer is in its channel; the data tells how, and by what detours.
    DELIVERED = "delivered"
    #: An attempt to deliver came to nothing; the data tells why, and whether it was the last.
    DELIVERY_FAILED = "delivery_failed"
    #: What had become of the request while Postgres was away is not what stands; the data tells it.
    CONTRADICTED = "contradicted"
    #: A migration filled or cleared a timestamp; the data holds what stood there before.
    REPAIRED = "repaired"


def record(
    conn: Connection,
    request_id: UUID,
    event: EventType,
    data: dict[str, Any],
    *,
    at: datetime | None = None,
) -> None:
    """Write one event, of the moment `at` or of now.

    `data` is for operators: no prompt, no secret.
    """
    when = {} if at is None else {"created_at": at}
    conn.execute(
        insert(video_events).values(
            request_id=request_id, event_type=event, event_data=data, **when
        )
    )


def record_download(database: Database, request_id: UUID, *, ip: str, user_agent: str) -> None:
    """Write that the video was downloaded, and by whom (EV1).

    Never raises: the download goes on without its event.
    """
    # JSONB holds no NUL.
    data = {"ip": ip, "user_agent": user_agent.replace("\0", "")[:USER_AGENT_LENGTH]}
    try:
        with database.autocommit() as conn:
            record(conn, request_id, EventType.DOWNLOADED, data)
    except DatabaseError as error:
        log.warning("download_not_recorded", request_id=str(request_id), reason=str(error))


def of_user(conn: Connection, user_id: str, *, limit: int = 50) -> list[Event]:
    """What happened last to the user's requests, the newest first (EV2)."""
    requests = video_requests.c
    theirs = (
        select(requests.id)
        .where(requests.user_id == user_id, requests.deleted_at.is_(None))
        .subquery("theirs")
    )
    # Request by request, through the index: however many events others have, they are not read.
    newest = (
        select(video_events)
        .where(video_events.c.request_id == theirs.c.id)
        .order_by(video_events.c.id.desc())
        .limit(limit)
        .lateral("newest")
    )
    found = (
        select(newest)
        .select_from(theirs.join(newest, true()))
        .order_by(newest.c.id.desc())
        .limit(limit)
        .execution_options(query="user_events")
    )
    return [Event(**found) for found in conn.execute(found).mappings()]


def of_request(conn: Connection, request_id: UUID) -> list[Event]:
    """All events of a request, in the order they happened."""
    c = video_events.c
    found = select(video_events).where(c.request_id == request_id).order_by(c.id)
    return [Event(**each) for each in conn.execute(found).mappings()]
