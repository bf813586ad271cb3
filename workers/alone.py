"""The steps of a request without Postgres: its one paid call, and the way to its end (DG2).

They are those of :mod:`workers.starting` and :mod:`workers.following`, with nothing but the mark in
the storage to go by. Each takes what is known of the request, and answers what is known after it,
and how long to pause.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import structlog

from db.backfill import Meanwhile
from db.states import Status
from workers.context import Context
from workers.following import LOOKS, timeout_message
from workers.providers import Answer, Done, Failed, NotTaken, PollFailed, Refused, Running
from workers.starting import MAX_ATTEMPTS, TOO_BUSY, backoff, create_marker
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

Known = tuple[Meanwhile, timedelta]
AT_ONCE: Final = timedelta(0)


def start(context: Context, known: Meanwhile) -> Known:
    """The paid call, unless somebody has left the mark that he makes it."""
    counts = context.settings.failed_requests_count
    if known.attempts > MAX_ATTEMPTS:
        return _ended(
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
        return _ended(
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


def follow(context: Context, known: Meanwhile) -> Known:
    """Ask once; the end, if there is one."""
    timeout = context.settings.generation_timeout
    begin = known.started_at or known.claimed_at or known.asked_at
    age = datetime.now(UTC) - begin
    first = min(context.provider.first_poll_after, timeout)
    if age < first:
        return known, first - age
    try:
        answer = _ask(context, known)
        videos = _outputs(context, known) if isinstance(answer, Done) else []
    except Exception as error:
        is_expected = isinstance(error, PollFailed | StorageUnavailable)
        log.warning("poll_failed", reason=str(error), exc_info=not is_expected)
        answer, videos = None, []
    match answer:
        case Failed(code, said, reason, is_billed):
            log.warning("generation_failed", code=code, reason=reason)
            counts = is_billed or context.settings.failed_requests_count
            return _ended(
                known,
                Status.FAILED,
                error_code=code,
                error_message=said,
                billed=is_billed,
                counted=counts,
            )
        case Done() if videos:
            return _ended(known, Status.COMPLETED, video_urls=videos)
        case Done() if known.attempts >= LOOKS:
            return _ended(
                known,
                Status.FAILED,
                error_code="no_video",
                error_message="The video service finished without a video. Trying again may help.",
            )
    if age >= timeout:
        # What was perhaps never taken gives its money and its place back.
        was_taken = known.started_at is not None
        return _ended(
            known,
            Status.TIMEOUT,
            error_code="timeout",
            error_message=timeout_message(timeout),
            billed=was_taken,
            counted=was_taken,
        )
    if isinstance(answer, Running):
        return replace(known, attempts=0), min(context.provider.poll_every, timeout - age)
    again = replace(known, attempts=known.attempts + 1)
    return again, min(backoff(again.attempts), timeout - age)


def _ask(context: Context, known: Meanwhile) -> Answer:
    if known.operation_name is not None:
        return context.provider.poll(known.operation_name)
    return Done() if _outputs(context, known) else Running()


def _outputs(context: Context, known: Meanwhile) -> list[str]:
    return context.storage.outputs(context.storage.prefix_for(known.new.id))


def _not_taken(known: Meanwhile, *, reason: str) -> Known:
    again = replace(known, attempts=known.attempts + 1)
    pause = backoff(again.attempts)
    log.warning("start_not_taken", reason=reason, next_try_seconds=round(pause.total_seconds(), 1))
    return again, pause


def _ended(known: Meanwhile, status: Status, **facts: Any) -> Known:
    now = datetime.now(UTC)
    ended = replace(
        known,
        status=status,
        started_at=known.started_at or known.claimed_at or now,
        completed_at=now,
        attempts=0,
        # Whoever comes with the same message again is the same one; another is not.
        answer_claim=uuid4(),
        **facts,
    )
    return ended, AT_ONCE
