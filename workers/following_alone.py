"""A request without Postgres is followed to its end (DG2)."""

from dataclasses import replace
from datetime import UTC, datetime

import structlog

from db.meanwhile import Meanwhile
from db.states import Status
from workers.alone import Known, ended
from workers.context import Context
from workers.following import LOOKS, timeout_message
from workers.providers import Answer, Done, Failed, PollFailed, Running
from workers.quoting import without
from workers.starting import backoff
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


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
        # Who is asked by a name alone may tell the prompt (LG2).
        why = without(str(error), known.new.prompt, known.new.negative_prompt)
        log.warning("poll_failed", reason=why, exc_info=not is_expected)
        answer, videos = None, []
    match answer:
        case Failed(code, said, reason, is_billed):
            why = without(reason, known.new.prompt, known.new.negative_prompt)
            log.warning("generation_failed", code=code, reason=why)
            counts = is_billed or context.settings.failed_requests_count
            return ended(
                known,
                Status.FAILED,
                error_code=code,
                error_message=said,
                billed=is_billed,
                counted=counts,
            )
        case Done() if videos:
            return ended(known, Status.COMPLETED, video_urls=videos)
        case Done() if known.attempts >= LOOKS:
            return ended(
                known,
                Status.FAILED,
                error_code="no_video",
                error_message="The video service finished without a video. Trying again may help.",
            )
    if age >= timeout:
        # What was perhaps never taken gives its money and its place back.
        was_taken = known.started_at is not None
        return ended(
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
