"""The event log (EV1): what happened to a request, in the transaction of the change it tells of."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, select

from db.records import Event
from db.tables import video_events


class EventType(StrEnum):
    """What an event tells of, always in the past tense."""

    CREATED = "created"
    STATUS_CHANGED = "status_changed"
    FAILED = "failed"
    #: The provider accepted after the request had been given up, or been found by its output.
    ACCEPTED_LATE = "accepted_late"
    #: A migration filled or cleared a timestamp; the data holds what stood there before.
    REPAIRED = "repaired"


def record(conn: Connection, request_id: UUID, event: EventType, data: dict[str, Any]) -> None:
    """Write one event. `data` is for operators: no prompt, no secret."""
    conn.execute(
        insert(video_events).values(request_id=request_id, event_type=event, event_data=data)
    )


def of_request(conn: Connection, request_id: UUID) -> list[Event]:
    """All events of a request, in the order they happened."""
    events = (
        select(video_events)
        .where(video_events.c.request_id == request_id)
        .order_by(video_events.c.id)
    )
    return [Event(**found) for found in conn.execute(events).mappings()]
