"""The second half of a request's way: its operation is followed to an end (VD2).

Nothing here waits. A request that has to wait is parked, and the sweeper brings it back. What was
found is remembered before it is written, for Postgres may be away by then.
"""

import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db import leases, requests
from db.errors import ClaimLost, DatabaseUnavailable, InvalidStatusTransition
from db.records import Request
from db.states import Status
from workers import (
    aftermath,
    announcing,
    answer_marks,
    chain,
    ending,
    examining,
    experience,
    memory,
    progress,
)
from workers.context import Context
from workers.ends import End
from workers.examining import Finding, Ready, Wait
from workers.polling import Schedule, schedule
from workers.starting import Step
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

THREADS: Final = 8
"""Questions to the provider that one batch has in the air at once."""
ASK_FOR: Final = 20.0
"""Seconds after which a batch puts no new question: its task has to end in time."""
NOW: Final = timedelta(0)

Found = tuple[Request, Finding]


def follow(context: Context, request_ids: Collection[UUID]) -> list[UUID]:
    """Ask once about each request, end or park what can be; those whose outputs are there."""
    with context.database.autocommit() as conn:
        taken = leases.take_up(conn, request_ids, lease=context.settings.rescue_after)
        schedules = [_schedule(context, conn, request) for request, _ in taken]
        reply_to = memory.answers_of(context, conn, [request for request, _ in taken])
    ask_until = time.monotonic() + ASK_FOR
    with ThreadPoolExecutor(max_workers=min(THREADS, len(taken) or 1)) as threads:
        # A single question needs no thread. Each thread logs as this task does.
        put: Callable[..., Iterable[Finding]] = threads.map if len(taken) > 1 else map
        findings = put(
            lambda each, by, here: here.run(_examine, context, *each, by, ask_until),
            taken,
            schedules,
            [copy_context() for _ in taken],
        )
        found = list(zip((request for request, _ in taken), findings, strict=True))
    for request, finding in found:
        end = finding if isinstance(finding, End) else None
        memory.keep(context, request, due_in=NOW, reply_to=reply_to.get(request.id), end=end)
    # Only of what runs on, and before anybody else may take it up: the answer comes after it.
    progress.tell(
        context,
        [each for each, (_, it) in zip(taken, found, strict=True) if isinstance(it, Wait)],
    )
    _park(context, found)
    return [
        settled.id
        for request, finding in found
        if not isinstance(finding, Wait)
        for settled in [_settle(context, request, finding)]
        if settled is not None and not settled.status.has_ended
    ]


def finalize(context: Context, request_id: UUID) -> Step:
    """``generating → completed``: the outputs become the request's videos."""
    with context.database.autocommit() as conn:
        lease = context.settings.rescue_after
        # Whoever asked whether it is done has counted this one.
        taken = leases.take_up(
            conn, [request_id], lease=lease, among=[Status.GENERATING], is_attempt=False
        )
        found = None if taken else requests.get(conn, request_id)
        reply_to = memory.answers_of(context, conn, [request for request, _ in taken])
    if not taken:
        # Only a stray message comes before the start, and has nothing to look for. Or it has ended
        # otherwise.
        if found is None or found.status is not Status.COMPLETED:
            return Step.STOPPED
        # It came again, and who completed it may have died before this.
        chain.announce(found)
        return Step.DONE
    [(request, _)] = taken
    finding = examining.publish(context, request)
    end = finding if isinstance(finding, End) else None
    memory.keep(context, request, due_in=NOW, reply_to=reply_to.get(request.id), end=end)
    if isinstance(finding, Wait):
        _park(context, [(request, finding)])
        return Step.STOPPED
    if _has_gone_on(context, request):
        return Step.STOPPED
    try:
        with context.database.autocommit() as conn:
            ended = ending.write(conn, request, finding)
    except (ClaimLost, InvalidStatusTransition):
        # Somebody else was here meanwhile; the log has it.
        memory.forget(request.id)
        return Step.STOPPED
    announcing.announce(context, ended)
    return Step.DONE if ended.status is Status.COMPLETED else Step.STOPPED


def _schedule(context: Context, conn: Connection, request: Request) -> Schedule:
    provider = context.provider
    known = experience.with_such(conn, request)
    return schedule(known, first=provider.first_poll_after, every=provider.poll_every)


def _examine(
    context: Context, request: Request, age: timedelta, by: Schedule, ask_until: float
) -> Finding:
    """Look at one request, unless the batch has taken too long. Runs in a thread."""
    if time.monotonic() > ask_until:
        return Wait(NOW, is_progress=True)
    return examining.examine(context, request, age, by)


def _park(context: Context, found: Collection[Found]) -> None:
    """Have those that have to wait taken up again after their delays."""
    waiting = [(request, it) for request, it in found if isinstance(it, Wait)]
    if not waiting:
        return
    with context.database.autocommit() as conn:
        for is_progress in (True, False):
            delays = {
                request.id: it.delay for request, it in waiting if it.is_progress is is_progress
            }
            leases.park(conn, delays, is_progress=is_progress)
    for request, it in waiting:
        memory.keep(context, request, due_in=it.delay)


def _settle(context: Context, request: Request, finding: Ready | End) -> Request | None:
    """Write the end that was found, or that there is an output to publish; the row after that.

    None where nothing could be written, or another is to write it.
    """
    if isinstance(finding, Ready) and request.status is Status.GENERATING:
        # There is nothing to write.
        memory.keep_sent(context, request)
        return request
    if isinstance(finding, End) and _has_gone_on(context, request):
        return None
    try:
        with context.database.begin() as conn:
            settled = _write(context, conn, request, finding)
    except (ClaimLost, InvalidStatusTransition):
        # Somebody else was here meanwhile; the log has it.
        memory.forget(request.id)
        return None
    except DatabaseUnavailable:
        raise
    except Exception:
        # One bad request never holds up the others.
        log.exception("settle_failed", request_id=str(request.id))
        memory.forget(request.id)
        return None
    if isinstance(finding, End):
        announcing.announce(context, settled)
    else:
        memory.keep_sent(context, settled)
    return settled


def _has_gone_on(context: Context, request: Request) -> bool:
    """Whether it was answered without Postgres. Whoever did that writes it down, with its times.

    Or else it is due again when the time for that is over.
    """
    if not aftermath.is_recent(context) or not progress.is_waited_for(request):
        return False
    try:
        has_gone_on = answer_marks.is_answered(context.storage, request.id)
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        return False
    if has_gone_on:
        memory.forget(request.id)
    return has_gone_on


def _write(context: Context, conn: Connection, request: Request, finding: Ready | End) -> Request:
    if isinstance(finding, End):
        return ending.write(conn, request, finding)
    # Its outputs tell that it was started.
    return requests.adopt(conn, request.id, gcs_prefix=examining.prefix_of(context, request))
