"""How a request is started, by one paid call (DESIGN, 1 and 2).

The order is what keeps money safe. A claim in the row and a marker in the storage come before
the call, and only a call that was certainly not taken clears them. Of a caller who dies in
between, it is unknown whether the call was made; nobody makes it again, and
:mod:`workers.following` looks for what came of it.
"""

import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from math import inf
from uuid import UUID, uuid4

import structlog

from db import events, leases, requests
from db.errors import (
    ClaimLost,
    DatabaseUnavailable,
    InvalidStatusTransition,
    PoolExhausted,
    RequestNotFound,
)
from db.events import EventType
from db.meanwhile import Meanwhile
from db.records import Request
from db.states import Status
from workers import (
    aftermath,
    announcing,
    calling,
    cancelling,
    ending,
    memory,
    progress,
    turns,
)
from workers.calling import Accepted, PutOff, Unknown
from workers.context import Context
from workers.ends import End
from workers.insisting import NotClaimed, insist
from workers.outage import LONGEST_PAUSE

log = structlog.get_logger(__name__)


class Step(Enum):
    """How a link of the chain ended."""

    #: The row is where the link should have brought it: the chain goes on.
    DONE = auto()
    #: The request has to wait, has ended, or is somebody else's: the chain stops here.
    STOPPED = auto()


def start(context: Context, request_id: UUID, *, unused: UUID | None = None) -> Step:
    """``pending → generating``, by at most one paid call whatever dies and whenever.

    Raises NotClaimed where Postgres is away before that, and Unwritten where it is afterwards.
    What the row may have of an earlier try, which was `unused`, is given back first.
    """
    claim = uuid4()
    call_until = time.monotonic() + turns.CALL_WITHIN.total_seconds()
    try:
        if unused is not None:
            with context.database.autocommit() as conn:
                leases.release(conn, request_id, unused, due_in=timedelta(0))
            unused = None
        request = turns.claim(context, request_id, claim)
    except PoolExhausted:
        # It is there all the same, and the task is tried again.
        raise
    except DatabaseUnavailable as error:
        raise NotClaimed(str(error), unused or claim) from error
    if request is None:
        return _not_claimed(context, request_id)
    _remember(context, request, due_in=context.provider.call_time + context.settings.rescue_after)
    prefix = context.storage.prefix_for(request_id)
    until = call_until if turns.are_paced(context) else inf
    # Who calls without Postgres writes afterwards, or takes the mark away and calls again.
    another_takes = LONGEST_PAUSE if aftermath.is_recent(context) else None
    match calling.call(context, request, claim, prefix, until=until, another_takes=another_takes):
        case Accepted(operation_name):
            step = _accepted(context, request, claim, prefix, operation_name)
        case PutOff(delay):
            step = _park(context, request, claim, delay)
        case Unknown():
            return Step.STOPPED
        case End() as end:
            step = _end(context, request, claim, end)
    turns.over(context, request_id)
    return step


def _accepted(
    context: Context, request: Request, claim: UUID, prefix: str, operation_name: str
) -> Step:
    # Whatever becomes of the write, an operator can find the operation.
    known = Meanwhile.of(
        request,
        status=Status.GENERATING,
        started_at=datetime.now(UTC),
        operation_name=operation_name,
        gcs_prefix=prefix,
        attempts=0,
    )
    return insist(lambda: _record(context, request, claim, prefix, operation_name), known)


def _record(
    context: Context, request: Request, claim: UUID, prefix: str, operation_name: str
) -> Step:
    # Only one of the two is written.
    with context.database.autocommit() as conn:
        try:
            moved = requests.start(
                conn,
                request.id,
                claim,
                operation_name=operation_name,
                gcs_prefix=prefix,
                due_in=context.settings.rescue_after,
            )
            is_ours = moved.operation_name == operation_name
        except (ClaimLost, InvalidStatusTransition):
            is_ours = False
        if not is_ours:
            late = {"operation_name": operation_name}
            events.record(conn, request.id, EventType.ACCEPTED_LATE, late)
    if not is_ours:
        memory.forget(request.id)
        log.warning("start_accepted_late", request_id=str(request.id))
        return Step.STOPPED
    # The next link is on its way, and may find that it is too early to ask.
    due_in = min(context.provider.first_poll_after, context.settings.rescue_after)
    memory.keep(context, moved, due_in=due_in)
    return Step.DONE


def _park(context: Context, request: Request, claim: UUID, delay: timedelta) -> Step:
    """Give the claim back and wait: no call was made."""
    # By whom nobody can follow, as long as the claim is ours.
    progress.tell(context, [(request, timedelta(0))])

    def write() -> Step:
        with context.database.autocommit() as conn:
            leases.release(conn, request.id, claim, due_in=delay)
        memory.keep(context, replace(request, claim=None, claimed_at=None), due_in=delay)
        return Step.STOPPED

    known = Meanwhile.of(request, claim=None, claimed_at=None, unused_claim=claim)
    return insist(write, known)


def _end(context: Context, request: Request, claim: UUID, end: End) -> Step:
    """It ends before it was started."""

    def write() -> Step:
        with context.database.begin() as conn:
            ended = requests.refuse(
                conn,
                request.id,
                code=end.code or "",
                message=end.message or "",
                claim=claim,
                is_counted=end.is_counted,
            )
        announcing.announce(context, ended)
        return Step.STOPPED

    # No call was made with the claim.
    unclaimed = Meanwhile.of(request, claim=None, claimed_at=None)
    return insist(write, ending.seen(unclaimed, end))


def _not_claimed(context: Context, request_id: UUID) -> Step:
    """Nothing to claim: it came again, is somebody else's, was deleted, or it is not its turn."""
    with context.database.begin() as conn:
        request = requests.get(conn, request_id)
        if request is None:
            raise RequestNotFound(request_id)
        is_counted = context.settings.failed_requests_count
        left = cancelling.cancel(conn, context.storage, request, is_counted=is_counted)
    if left.status is Status.PENDING and left.claim is None:
        _remember(context, left, due_in=context.settings.rescue_after)
    turns.wait(context, left)
    return Step.DONE if request.status is Status.GENERATING else Step.STOPPED


def _remember(context: Context, request: Request, *, due_in: timedelta) -> None:
    reply_to = None
    if memory.lacks_answer(context, request):
        # Nothing depends on it while Postgres is there.
        with suppress(DatabaseUnavailable), context.database.autocommit() as conn:
            reply_to = memory.answers_of(context, conn, [request]).get(request.id)
    memory.keep(context, request, due_in=due_in, reply_to=reply_to)
