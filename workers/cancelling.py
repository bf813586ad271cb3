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
    deleted = keeping.delete(conn, request_id, by=by, is_counted=is_counted)
    forbid_call(storage, deleted)
    return deleted


def cancel(conn: Connection, storage: Storage, request: Request, *, is_counted: bool) -> Request:
    """:func:`db.keeping.cancel`, for good. Wants a transaction, and holds the row in it."""
    left = keeping.cancel(conn, request, is_counted=is_counted)
    forbid_call(storage, left)
    return left


def forbid_call(storage: Storage, request: Request) -> None:
    """Leave the mark where the request was cancelled. Never raises."""
    if request.error_code == keeping.CANCELLED:
        try:
            storage.create_marker(storage.prefix_for(request.id), uuid4())
        except StorageUnavailable as error:
            # As long as Postgres is there, it is not made all the same.
            log.warning("marker_not_made", request_id=str(request.id), reason=str(error))
