"""The one paid call of a request without Postgres, by its mark alone (DG2)."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import structlog

from db.meanwhile import Meanwhile
from db.states import Status
from workers.alone import AT_ONCE, Known, ended
from workers.context import Context
from workers.providers import NotTaken, Refused
from workers.starting import MAX_ATTEMPTS, TOO_BUSY, backoff, create_marker
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


def start(context: Context, known: Meanwhile) -> Known:
    """The paid call, unless somebody has left the mark that he makes it."""
    counts = context.settings.failed_requests_count
    if known.attempts > MAX_ATTEMPTS:
        return ended(
            known,
            Status.FAILED,
            error_code="busy",
            error_message=TOO_BUSY,
            billed=False,
            counted=counts,
        )
    prefix = context.storage.prefix_for(known.new.id)
    # Never that of a message before: one that comes again cannot tell whether it made the call.
    claim = uuid4()
    claimed = replace(
        known, claim=claim, claimed_at=datetime.now(UTC), gcs_prefix=prefix, attempts=0
    )
    try:
        if not create_marker(context, prefix, claim):
            log.warning("start_outcome_unknown", reason="marker exists")
            return claimed, AT_ONCE
    except StorageUnavailable as error:
        return _not_taken(known, reason=str(error))
    try:
        operation_name = context.provider.start(claimed.as_request(), prefix)
    except Refused as error:
        log.warning("start_refused", code=error.code, reason=str(error))
        return ended(
            known,
            Status.FAILED,
            error_code=error.code,
            error_message=error.message,
            billed=False,
            counted=counts,
        )
    except NotTaken as error:
        try:
            context.storage.remove_marker(prefix)
        except StorageUnavailable as problem:
            log.error("marker_not_removed", reason=str(problem))
            return claimed, AT_ONCE
        return _not_taken(known, reason=str(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the call may have been taken
        log.error("start_outcome_unknown", reason=f"{type(error).__name__}: {error}")
        return claimed, AT_ONCE
    started = replace(
        claimed,
        status=Status.GENERATING,
        started_at=datetime.now(UTC),
        operation_name=operation_name,
    )
    return started, context.provider.first_poll_after


def _not_taken(known: Meanwhile, *, reason: str) -> Known:
    again = replace(known, attempts=known.attempts + 1)
    pause = backoff(again.attempts)
    log.warning("start_not_taken", reason=reason, next_try_seconds=round(pause.total_seconds(), 1))
    return again, pause
