"""The second half of a request's way: its operation is followed to an end (VD2).

Nothing here waits. A request that has to wait is parked, and the sweeper brings it back.
"""

import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db import leases, replies, requests
from db.errors import ClaimLost, DatabaseUnavailable, InvalidStatusTransition
from db.records import Request
from db.states import Status
from workers import chain, experience, memory, progress
from workers.context import Context
from workers.polling import Schedule, schedule
from workers.providers import Answer, Done, Failed, PollFailed, Running
from workers.quoting import without
from workers.starting import MAX_ATTEMPTS, Step, backoff
from workers.storage import StorageUnavailable
from workers.words import figure

log = structlog.get_logger(__name__)

THREADS: Final = 8
"""Questions to the provider that one batch has in the air at once."""
LOOKS: Final = 4
"""Attempts in which a video that is said to be done may be late to show in the storage."""
ASK_FOR: Final = 20.0
"""Seconds after which a batch puts no new question: its task has to end in time."""


@dataclass(frozen=True, slots=True)
class _Wait:
    """It has to be asked about again. `is_progress`: because it runs, not because asking failed."""

    delay: timedelta
    is_progress: bool


class _Ready:
    """Its outputs are there."""


class _Overdue:
    """Its time is up, and the last question has been asked."""


_Finding = _Wait | _Ready | _Overdue | Failed


def follow(context: Context, request_ids: Collection[UUID]) -> list[UUID]:
    """Ask once about each request, end or park what can be; those whose outputs are there."""
    with context.database.autocommit() as conn:
        taken = leases.take_up(conn, request_ids, lease=context.settings.rescue_after)
        schedules = [_schedule(context, conn, request) for request, _ in taken]
    ask_until = time.monotonic() + ASK_FOR
    with ThreadPoolExecutor(max_workers=min(THREADS, len(taken) or 1)) as threads:
        # A single question needs no thread. Each thread logs as this task does.
        put: Callable[..., Iterable[_Finding]] = threads.map if len(taken) > 1 else map
        findings = put(
            lambda each, by, here: here.run(_examine, context, *each, by, ask_until),
            taken,
            schedules,
            [copy_context() for _ in taken],
        )
        found = list(zip((request for request, _ in taken), findings, strict=True))
    # Only of what runs on, and before anybody else may take it up: the answer comes after it.
    progress.tell(
        context,
        [each for each, (_, it) in zip(taken, found, strict=True) if isinstance(it, _Wait)],
    )
    since = time.monotonic()
    with context.database.autocommit() as conn:
        for is_progress in (True, False):
            delays = {
                request.id: finding.delay
                for request, finding in found
                if isinstance(finding, _Wait) and finding.is_progress is is_progress
            }
            leases.park(conn, delays, is_progress=is_progress)
        if context.settings.database_outage == "proceed":
            waiting = [(each, it.delay) for each, it in found if isinstance(it, _Wait)]
            reply_to = replies.of(conn, [each.id for each, _ in waiting])
            memory.prune()
            for request, delay in waiting:
                memory.keep(request, reply_to.get(request.id), due_in=delay, since=since)
    ready = []
    for request, finding in found:
        if isinstance(finding, _Wait):
            continue
        settled = _settle(context, request, finding)
        if settled is None:
            continue
        if isinstance(finding, _Ready):
            ready.append(settled.id)
        else:
            chain.announce(settled)
    return ready


def finalize(context: Context, request_id: UUID) -> Step:
    """``generating → completed``: the outputs become the request's videos."""
    with context.database.autocommit() as conn:
        found = requests.get(conn, request_id)
        is_to_end = found is not None and found.status is Status.GENERATING
        lease = context.settings.rescue_after
        taken = leases.take_up(conn, [request_id], lease=lease) if is_to_end else []
    if not taken:
        # Only a stray message comes before the start, and has nothing to look for. Or it has ended
        # in this very moment, by somebody whose chain goes on.
        if found is None or found.status is not Status.COMPLETED:
            return Step.STOPPED
        # It came again, and who completed it may have died before this.
        chain.announce(found)
        return Step.DONE
    [(request, _)] = taken
    try:
        videos = context.storage.outputs(_prefix(context, request))
    except StorageUnavailable as error:
        return _publish_later(context, request, reason=str(error))
    if not videos and request.attempts < LOOKS:
        return _publish_later(context, request, reason="there is no video yet")
    with context.database.autocommit() as conn:
        if videos:
            ended = requests.complete(conn, request_id, videos)
        else:
            ended = requests.fail(
                conn,
                request_id,
                code="no_video",
                message="The video service finished without a video. Trying again may help.",
            )
    chain.announce(ended)
    return Step.DONE if videos else Step.STOPPED


def timeout_message(timeout: timedelta) -> str:
    """RT4's sentence, with the configured figure."""
    return f"Generation timed out after {figure(timeout)}"


def _schedule(context: Context, conn: Connection, request: Request) -> Schedule:
    provider = context.provider
    known = experience.with_such(conn, request)
    return schedule(known, first=provider.first_poll_after, every=provider.poll_every)


def _examine(
    context: Context, request: Request, age: timedelta, by: Schedule, ask_until: float
) -> _Finding:
    """Look at one request: questions only, nothing is written. Runs in a thread."""
    if time.monotonic() > ask_until:
        return _Wait(timedelta(0), is_progress=True)
    left = context.settings.generation_timeout - age
    if left <= timedelta(0) and request.attempts > MAX_ATTEMPTS:
        # Asked about after its time, over and over, to no end: asking may be what kills.
        return _Overdue()
    try:
        finding = _ask(context, request, age, by)
    except Exception as error:
        # Whatever it is, it is no verdict on this request, and no reason to drop the others.
        is_expected = isinstance(error, PollFailed | StorageUnavailable)
        # Who is asked by a name alone may tell the prompt (LG2).
        reason = without(str(error), request.prompt, request.negative_prompt)
        log.warning(
            "poll_failed", request_id=str(request.id), reason=reason, exc_info=not is_expected
        )
        finding = _Wait(backoff(request.attempts), is_progress=False)
    if not isinstance(finding, _Wait):
        return finding
    if left <= timedelta(0):
        return _Overdue()
    return _Wait(min(finding.delay, left), finding.is_progress)


def _ask(context: Context, request: Request, age: timedelta, by: Schedule) -> _Finding:
    if by.is_too_early(age) and age < context.settings.generation_timeout:
        # Who waits is told of progress all the same.
        rest = progress.EVERY if progress.is_waited_for(request) else timedelta.max
        return _Wait(min(by.next_after(age), rest), is_progress=True)
    if request.operation_name is None:
        is_there = bool(context.storage.outputs(_prefix(context, request)))
        answer: Answer = Done() if is_there else Running()
    else:
        answer = context.provider.poll(request.operation_name)
    match answer:
        case Running():
            return _Wait(by.next_after(age), is_progress=True)
        case Done():
            return _Ready()
        case Failed():
            return answer


def _settle(
    context: Context, request: Request, finding: _Ready | _Overdue | Failed
) -> Request | None:
    """Write the end that was found, or that there is an output to publish; the row after that.

    None where nothing could be written.
    """
    try:
        with context.database.begin() as conn:
            return _write(context, conn, request, finding)
    except (ClaimLost, InvalidStatusTransition):
        # Somebody else was here meanwhile; the log has it.
        return None
    except DatabaseUnavailable:
        raise
    except Exception:
        # One bad request never holds up the others.
        log.exception("settle_failed", request_id=str(request.id))
        return None


def _write(
    context: Context, conn: Connection, request: Request, finding: _Ready | _Overdue | Failed
) -> Request:
    message = timeout_message(context.settings.generation_timeout)
    match finding, request.status:
        case _Ready(), Status.PENDING:
            return requests.adopt(conn, request.id, gcs_prefix=_prefix(context, request))
        case _Ready(), _:
            return request
        case _Overdue(), Status.PENDING:
            return requests.give_up_search(conn, request.id, message=message)
        case _Overdue(), _:
            return requests.time_out(conn, request.id, message=message)
        case Failed(code, said, reason, is_billed), _:
            told = without(reason, request.prompt, request.negative_prompt)
            log.warning("generation_failed", request_id=str(request.id), code=code, reason=told)
            return requests.fail(
                conn,
                request.id,
                code=code,
                message=said,
                is_billed=is_billed,
                is_counted=is_billed or context.settings.failed_requests_count,
            )


def _publish_later(context: Context, request: Request, *, reason: str) -> Step:
    """The outputs cannot be listed: wait, but not for ever."""
    log.warning("outputs_unavailable", request_id=str(request.id), reason=reason)
    with context.database.autocommit() as conn:
        if request.attempts <= MAX_ATTEMPTS:
            leases.park(conn, {request.id: backoff(request.attempts)}, is_progress=False)
            return Step.STOPPED
        ended = requests.fail(
            conn,
            request.id,
            code="storage",
            message="The video was made but could not be stored. Please tell an operator.",
        )
    chain.announce(ended)
    return Step.STOPPED


def _prefix(context: Context, request: Request) -> str:
    return request.gcs_prefix or context.storage.prefix_for(request.id)
