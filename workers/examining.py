"""How an operation stands: questions only, nothing is written. With Postgres and without."""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from db.records import Request
from workers import ends, progress
from workers.attempts import LOOKS, MAX_ATTEMPTS, backoff
from workers.context import Context
from workers.ends import End
from workers.polling import Schedule
from workers.providers import Answer, Done, Failed, PollFailed, Running
from workers.quoting import without
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Wait:
    """It has to be asked about again. `is_progress`: because it runs, not because asking failed."""

    delay: timedelta
    is_progress: bool


class Ready:
    """Its outputs are there."""


Finding = Wait | Ready | End


def examine(context: Context, request: Request, age: timedelta, by: Schedule) -> Finding:
    """Ask once about a request that was taken up; `age` is the time since its start or claim."""
    left = context.settings.generation_timeout - age
    if left <= timedelta(0) and request.attempts > MAX_ATTEMPTS:
        # Asked about after its time, over and over, to no end: asking may be what kills.
        return ends.timed_out(context, request)
    try:
        finding = _ask(context, request, age, by)
    except Exception as error:
        # Whatever it is, it is no verdict on this request, and no reason to drop the others.
        is_expected = isinstance(error, PollFailed | StorageUnavailable)
        # Who is asked by a name alone may tell the prompt (LG2).
        reason = without(str(error), request.prompt, request.negative_prompt)
        # The error itself would tell it in the last line of its trace.
        shown = Exception(f"{type(error).__name__}: {reason}").with_traceback(error.__traceback__)
        trace = None if is_expected else shown
        log.warning("poll_failed", request_id=str(request.id), reason=reason, exc_info=trace)
        finding = Wait(backoff(request.attempts), is_progress=False)
    if not isinstance(finding, Wait):
        return finding
    if left <= timedelta(0):
        return ends.timed_out(context, request)
    return Wait(min(finding.delay, left), finding.is_progress)


def _ask(context: Context, request: Request, age: timedelta, by: Schedule) -> Finding:
    if by.is_too_early(age) and age < context.settings.generation_timeout:
        # Who waits is told of progress all the same.
        rest = progress.EVERY if progress.is_waited_for(request) else timedelta.max
        return Wait(min(by.next_after(age), rest), is_progress=True)
    if request.operation_name is None:
        is_there = bool(context.storage.outputs(prefix_of(context, request)))
        answer: Answer = Done() if is_there else Running()
    else:
        answer = context.provider.poll(request.operation_name)
    match answer:
        case Running():
            return Wait(by.next_after(age), is_progress=True)
        case Done():
            return Ready()
        case Failed(code, _, reason, _):
            told = without(reason, request.prompt, request.negative_prompt)
            log.warning("generation_failed", request_id=str(request.id), code=code, reason=told)
            return ends.failed(context, answer)


def publish(context: Context, request: Request) -> Wait | End:
    """The outputs of a request that is done: they become its videos, now or later."""
    try:
        videos = context.storage.outputs(prefix_of(context, request))
    except StorageUnavailable as error:
        reason, end, is_over = str(error), ends.not_stored(), request.attempts > MAX_ATTEMPTS
    else:
        if videos:
            return ends.completed(videos)
        reason, end, is_over = "there is no video yet", ends.no_video(), request.attempts >= LOOKS
    log.warning("outputs_unavailable", request_id=str(request.id), reason=reason)
    return end if is_over else Wait(backoff(request.attempts), is_progress=False)


def prefix_of(context: Context, request: Request) -> str:
    """Where its outputs lie."""
    return request.gcs_prefix or context.storage.prefix_for(request.id)
