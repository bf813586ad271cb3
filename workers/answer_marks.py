"""Who gives the one answer: a mark in the storage, like that of the paid call and beside it.

It is what those who go on without Postgres have in common with those who have it.
"""

from uuid import UUID

import structlog

from workers.context import Context
from workers.storage import Storage

log = structlog.get_logger(__name__)


def may_answer(context: Context, request_id: UUID, claim: UUID) -> bool:
    """Whether `claim` is the one that answers. Raises StorageUnavailable.

    All who deliver by Postgres' leave, of whom one is at it at a time, share the request's own id
    as theirs.
    """
    is_ours = context.storage.create_marker(_place(context.storage, request_id), claim)
    if not is_ours:
        log.info("answer_is_anothers", request_id=str(request_id))
    return is_ours


def is_answered(storage: Storage, request_id: UUID) -> bool:
    """Whether somebody answers without Postgres, or has. Raises StorageUnavailable."""
    return storage.is_marked(_place(storage, request_id))


def _place(storage: Storage, request_id: UUID) -> str:
    return f"{storage.prefix_for(request_id)}.answer/"
