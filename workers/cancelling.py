"""Cancelling a request, so that it is not made by anybody who has not heard of it either (VD3).

A process that remembers it (:mod:`workers.memory`) may have it go on should Postgres go at this
moment. So whoever cancels leaves the mark of the paid call first: no mark, no call (DESIGN, 1).
"""

from uuid import UUID, uuid4

import structlog
from sqlalchemy import Connection

from db import keeping
from db.records import Request
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
        _forbid_call(storage, request.id)
    return keeping.cancel(conn, request, is_counted=is_counted)


def _forbid_call(storage: Storage, request_id: UUID) -> None:
    """Leave the mark. Never raises."""
    try:
        storage.create_marker(storage.prefix_for(request_id), uuid4())
    except StorageUnavailable as error:
        # As long as Postgres is there, it is not made all the same.
        log.warning("marker_not_made", request_id=str(request_id), reason=str(error))
