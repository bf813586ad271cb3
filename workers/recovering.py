"""What was begun without Postgres, and whose message was lost before it was written.

The bot sends it again, as whatever is no row; and the marks in the storage tell what it is.
"""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import structlog

from db.meanwhile import Meanwhile
from db.records import NewRequest, ReplyTo
from workers import answer_marks, outage
from workers.context import Context
from workers.storage import Storage

log = structlog.get_logger(__name__)


def is_wanted(storage: Storage, request_id: UUID) -> bool:
    """Whether the request may have been paid for. Raises StorageUnavailable.

    Not where nobody has begun it; nor where it was answered that it came to nothing and is free.
    """
    is_begun = storage.is_marked(storage.prefix_for(request_id))
    return is_begun and not answer_marks.is_free(storage, request_id)


def recover(
    context: Context, new: NewRequest, reply_to: ReplyTo | None, asked_at: datetime | None
) -> None:
    """Have it written, whatever the limits; what became of it is looked for, as of the dead."""
    log.warning("request_recovered", request_id=str(new.id), user_id=new.user_id)
    now = datetime.now(UTC)
    known = Meanwhile(new, asked_at or now, claim=uuid4(), claimed_at=now)
    outage.carry_on(context, known, reply_to)
