"""Who gives the one answer: a mark in the storage, like that of the paid call and beside it.

It is what those who go on without Postgres have in common with those who have it.
"""

from typing import Final
from uuid import UUID

import structlog

from workers.context import Context
from workers.storage import Storage, StorageUnavailable

log = structlog.get_logger(__name__)

ANSWER: Final = ".answer"
SENT: Final = ".sent"
FREE: Final = ".free"
"""Where the marks are, under the request's prefix."""


def may_answer(context: Context, request_id: UUID, claim: UUID) -> bool:
    """Whether `claim` is the one that answers. Raises StorageUnavailable.

    All who deliver by Postgres' leave, of whom one is at it at a time, share the request's own id
    as theirs.
    """
    is_ours = context.storage.create_marker(place(context.storage, request_id), claim)
    if not is_ours:
        log.info("answer_is_anothers", request_id=str(request_id))
    return is_ours


def is_answered(storage: Storage, request_id: UUID) -> bool:
    """Whether somebody answers without Postgres, or has. Raises StorageUnavailable."""
    return storage.is_marked(place(storage, request_id))


def note_sent(context: Context, request_id: UUID, *, is_billed: bool) -> None:
    """Note that it is answered, should whoever has answered not come to write it. Never raises."""
    for name in (SENT,) if is_billed else (FREE, SENT):
        try:
            context.storage.create_marker(place(context.storage, request_id, name), request_id)
        except StorageUnavailable as error:
            log.warning("marker_not_confirmed", reason=str(error))


def is_sent(storage: Storage, request_id: UUID) -> bool:
    """Whether it was answered without Postgres. Raises StorageUnavailable."""
    return storage.is_marked(place(storage, request_id, SENT))


def is_free(storage: Storage, request_id: UUID) -> bool:
    """Whether that answer was of something that cost nothing. Raises StorageUnavailable."""
    return storage.is_marked(place(storage, request_id, FREE))


def place(storage: Storage, request_id: UUID, name: str = ANSWER) -> str:
    """Where a mark of the request is."""
    return f"{storage.prefix_for(request_id)}{name}/"
