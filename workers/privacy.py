"""Forgetting a user: requests, events and outputs (RE1).

What the user has asked for is emptied in one transaction, and gone from every read. Then go the
outputs, and last the rows: those that messages may still come for wait an hour, empty; those that
are being made wait until they have ended. The sweeper sees to both, and to what was left by a
process that died in the middle.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import structlog

from db import forgetting, privacy, removal
from db.engine import Database
from db.privacy import Marked
from workers.removal import remove_outputs
from workers.storage import Storage

log = structlog.get_logger(__name__)

BATCH: Final = 200
"""Requests that go in one statement."""


def forget(database: Database, storage: Storage, user_id: str, *, is_counted: bool) -> Marked:
    """Forget everything that the user has asked for; limits and budgets stay as they are.

    `is_counted` is FAILED_REQUESTS_COUNT, for what has not been started and never will be. Raises
    DatabaseUnavailable; doing it again does no harm.
    """
    with database.begin() as conn:
        marked = privacy.forget(conn, user_id, is_counted=is_counted)
        ended = forgetting.ended(conn, user_id)
    log.info("user_forgotten", requests=marked.requests, being_made=marked.being_made)
    for first in range(0, len(ended), BATCH):
        remove(database, storage, ended[first : first + BATCH])
    return marked


def remove(database: Database, storage: Storage, request_ids: Sequence[UUID]) -> int:
    """Remove the outputs of forgotten requests that have ended, and the rows that may go now.

    How many rows those were. What the storage fails for is taken up again by the sweeper.
    """
    with database.autocommit() as conn:
        leaving = forgetting.leaving(conn, request_ids)
    gone = remove_outputs(storage, leaving)
    if not gone:
        return 0
    with database.begin() as conn:
        removed = removal.remove(conn, gone, before=None)
        forgetting.keep_empty(conn, gone)
    return removed
