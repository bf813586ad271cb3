"""What becomes of a request afterwards: put away, taken back, deleted (VD1, VD3), with its event.

Deleting is a mark: the row is gone from every read of its user, and still counts for limits,
budgets and the figures over all, until retention takes it.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, update

from db import events, requests
from db.errors import RequestNotFound
from db.events import EventType
from db.records import Request
from db.states import Status
from db.tables import video_requests

c = video_requests.c

CANCELLED: Final = "cancelled"
"""The error code of what was deleted before it was started."""


def archive(conn: Connection, request_id: UUID, *, by: str) -> Request:
    """Put the request away, where it is not yet. `by` is the one who does it, for the event."""
    return _mark(conn, request_id, EventType.ARCHIVED, by, c.archived_at, func.now())


def restore(conn: Connection, request_id: UUID, *, by: str) -> Request:
    """Take the request out of the archive, if it is there."""
    return _mark(conn, request_id, EventType.RESTORED, by, c.archived_at, None)


def delete(conn: Connection, request_id: UUID, *, by: str, is_counted: bool = True) -> Request:
    """Delete the request, in whatever state it is. Wants a transaction of its caller's.

    One that nobody has begun to start ends here, without being paid for, as failed with the code
    ``cancelled``; where it is not `is_counted`, it gives its place in the limits back. One that is
    being made goes on to its end, unseen.
    """
    # The mark holds the row until the transaction ends: nobody can claim it in between.
    return cancel(conn, mark_deleted(conn, request_id, by=by), is_counted=is_counted)


def mark_deleted(conn: Connection, request_id: UUID, *, by: str) -> Request:
    """The first half of :func:`delete`: it is gone from the reads of its user."""
    return _mark(conn, request_id, EventType.DELETED, by, c.deleted_at, func.now())


def is_to_end(request: Request) -> bool:
    """Whether it was deleted and nobody has begun to start it."""
    is_open = request.status is Status.PENDING and request.claim is None
    return is_open and request.deleted_at is not None


def cancel(conn: Connection, request: Request, *, is_counted: bool) -> Request:
    """End what was deleted and nobody has begun to start; anything else is left as it is."""
    if is_to_end(request):
        return requests.refuse(
            conn,
            request.id,
            code=CANCELLED,
            message="It was deleted before it was started.",
            is_counted=is_counted,
        )
    return request


def _mark(
    conn: Connection,
    request_id: UUID,
    event: EventType,
    by: str,
    column: ColumnElement[Any],
    value: ColumnElement[Any] | None,
) -> Request:
    """Set the mark, or clear it, with its event; a request that is so already stays as it is."""
    is_otherwise = column.is_not(None) if value is None else column.is_(None)
    marked = (
        update(video_requests)
        .where(c.id == request_id, c.deleted_at.is_(None), is_otherwise)
        .values({column: value})
        .returning(video_requests)
    )
    found = conn.execute(marked).mappings().one_or_none()
    if found is not None:
        events.record(conn, request_id, event, {"by": by})
        return requests.as_request(found)
    request = requests.get(conn, request_id)
    if request is None or (request.deleted_at and event is not EventType.DELETED):
        raise RequestNotFound(request_id)
    return request
