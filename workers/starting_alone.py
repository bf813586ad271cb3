"""The one paid call of a request without Postgres, by its mark alone (DG2)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final
from uuid import uuid4

import structlog

from db.meanwhile import Meanwhile
from db.states import Status
from workers import calling, ending, ends
from workers.calling import Accepted, PutOff, Unknown
from workers.context import Context
from workers.ends import End

log = structlog.get_logger(__name__)

AT_ONCE: Final = timedelta(0)


def start(context: Context, known: Meanwhile) -> tuple[Meanwhile, timedelta]:
    """The paid call; what is known after it, and how long to pause."""
    prefix = context.storage.prefix_for(known.new.id)
    # Never that of a message before: one that comes again cannot tell whether it made the call.
    claim = uuid4()
    again = replace(known, attempts=known.attempts + 1)
    claimed = replace(
        known, claim=claim, claimed_at=datetime.now(UTC), gcs_prefix=prefix, attempts=0
    )
    forbidden = partial(_over_the_ceiling, context, known)
    match calling.call(context, again.as_request(), claim, prefix, forbidden=forbidden):
        case Accepted(operation_name):
            started = replace(
                claimed,
                status=Status.GENERATING,
                started_at=datetime.now(UTC),
                operation_name=operation_name,
            )
            return started, context.provider.first_poll_after
        case PutOff(delay):
            return again, delay
        case Unknown():
            return claimed, AT_ONCE
        case End() as end:
            return ending.seen(known, end), AT_ONCE


def _over_the_ceiling(context: Context, known: Meanwhile) -> End | None:
    """Its end, where no limit has admitted it and as many were made as may be without (DG1)."""
    new, most = known.new, context.settings.daily_limit
    if known.has_row or context.ceiling.take(new.user_id, new.id, most=most):
        return None
    log.warning("ceiling_reached", request_id=str(new.id), user_id=new.user_id)
    return ends.too_many()
