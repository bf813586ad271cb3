"""Forgetting a user: requests, events and outputs (RE1).

What the user has asked for is emptied in one transaction, and gone from every read. Then go the
outputs, and last the rows: those that messages may still come for wait an hour, empty, and those
that videos may still come for a day; those that are being made wait until they have ended. The
sweeper sees to all of them, and to what was left by a process that died in the middle.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db import forgetting, keeping, privacy, removal, requests
from db.engine import Database
from workers import cancelling
from workers.removal import remove_outputs
from workers.storage import Storage

log = structlog.get_logger(__name__)

BATCH: Final = 200
"""Requests that go in one statement."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """How many requests a user's wish to be forgotten was about."""

    requests: int
    #: Of these, those that are being made, and go when they have ended.
    being_made: int


def forget(database: Database, storage: Storage, user_id: str, *, is_counted: bool) -> Forgotten:
    """Forget everything that the user has asked for; limits and budgets stay as they are.

    `is_counted` is FAILED_REQUESTS_COUNT, for what has not been started and never will be. Raises
    DatabaseUnavailable; doing it again does no harm.
    """
    number, being_made, open_ids = 0, 0, list[UUID]()
    now = datetime.now(UTC)
    while True:
        with database.begin() as conn:
            marked = privacy.forget(conn, user_id, at=now)
        if not marked.requests:
            break
        number += marked.requests
        open_ids += marked.open_ids
    # What dies in between is cancelled by whoever comes to start it.
    for request_id in open_ids:
        with database.begin() as conn:
            being_made += _goes_on(conn, storage, request_id, is_counted=is_counted)
    with database.autocommit() as conn:
        ended = forgetting.ended(conn, user_id)
    log.info("user_forgotten", requests=number, being_made=being_made)
    for first in range(0, len(ended), BATCH):
        remove(database, storage, ended[first : first + BATCH])
    return Forgotten(number, being_made)


def _goes_on(conn: Connection, storage: Storage, request_id: UUID, *, is_counted: bool) -> bool:
    """Whether a forgotten request goes on being made; what nobody has begun to start ends here.

    The mark that is left with it stays as long as the row: it is all that those know of its end who
    come with a message, or remember it, while Postgres is away.
    """
    request = requests.get(conn, request_id)
    if request is None:
        return False
    left = cancelling.cancel(conn, storage, request, is_counted=is_counted)
    if left.error_code == keeping.CANCELLED:
        forgetting.keep_empty(conn, [request_id])
    return not left.status.has_ended


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
        removed = removal.remove(conn, forgetting.over(conn, gone), before=None)
        forgetting.keep_empty(conn, gone)
    return removed
