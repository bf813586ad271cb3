"""Deleting a request, so that it is let be by all who have not heard of it either (VD3).

A process that remembers it (:mod:`workers.memory`) may have it go on should Postgres go at this
moment. So whoever deletes leaves a mark: first that of the paid call, and nobody makes it (DESIGN,
1); or where it goes on, afterwards that of the answer, and nobody gives it.
"""

from functools import partial
from uuid import UUID, uuid4

import structlog
from sqlalchemy import Connection

from db import keeping
from db.records import Request
from db.telling import once_it_stands
from workers import answer_marks
from workers.storage import Storage, StorageUnavailable

log = structlog.get_logger(__name__)


def delete(
    conn: Connection, storage: Storage, request_id: UUID, *, by: str, is_counted: bool
) -> Request:
    """:func:`db.keeping.delete`, for good. Wants a transaction, and holds the row in it."""
    marked = keeping.mark_deleted(conn, request_id, by=by)
    return cancel(conn, storage, marked, is_counted=is_counted)


def cancel(conn: Connection, storage: Storage, request: Request, *, is_counted: bool) -> Request:
    """:func:`db.keeping.cancel`, for good. Wants a transaction.

    The storage may be slow, so it comes first: what is given back locks the counters of budgets,
    for which every admission waits.
    """
    if keeping.is_to_end(request):
        _leave_mark(storage, storage.prefix_for(request.id), request.id)
    elif request.deleted_at is not None and request.delivered_at is None:
        # Not while the row is held, nor for what is not deleted after all: it is to be answered.
        place = answer_marks.place(storage, request.id)
        once_it_stands(conn, partial(_leave_mark, storage, place, request.id))
    return keeping.cancel(conn, request, is_counted=is_counted)


def _leave_mark(storage: Storage, place: str, request_id: UUID) -> None:
    """Have nobody else do what the mark is for. Never raises."""
    try:
        storage.create_marker(place, uuid4())
    except StorageUnavailable as error:
        # As long as Postgres is there, it is not done all the same.
        log.warning("marker_not_made", request_id=str(request_id), reason=str(error))
