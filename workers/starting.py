"""How a request is started, by one paid call (DESIGN, 1 and 2).

The order is what keeps money safe. A claim in the row and a marker in the storage come before
the call, and only a call that was certainly not taken clears them. Of a caller who dies in
between, it is unknown whether the call was made; nobody makes it again, and
:mod:`workers.following` looks for what came of it.
"""

import time
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from random import uniform
from typing import Final
from uuid import UUID, uuid4

import structlog

from db import events, keeping, leases, requests
from db.errors import ClaimLost, DatabaseUnavailable, InvalidStatusTransition, RequestNotFound
from db.events import EventType
from db.meanwhile import Meanwhile
from db.records import Request
from db.states import Status
from workers import chain, progress, turns
from workers.context import Context
from workers.insisting import NotClaimed, insist
from workers.providers import NotTaken, Refused
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

LONGEST_BACKOFF: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 15
"""Attempts to start in a row, with the backoff about ten minutes of a provider too busy."""

TOO_BUSY: Final = "The video service was too busy for too long. Please try again later."


class Step(Enum):
    """How a link of the chain ended."""

    #: The row is where the link should have brought it: the chain goes on.
    DONE = auto()
    #: The request has to wait, has ended, or is somebody else's: the chain stops here.
    STOPPED = auto()


def start(context: Context, request_id: UUID) -> Step:
    """``pending → generating``, by at most one paid call whatever dies and whenever.

    Raises NotClaimed where Postgres is away before that, and Unwritten where it is afterwards.
    """
    claim = uuid4()
    call_until = time.monotonic() + turns.CALL_WITHIN.total_seconds()
    try:
        request = turns.claim(context, request_id, claim)
    except DatabaseUnavailable as error:
        raise NotClaimed(str(error)) from error
    if request is None:
        return _not_claimed(context, request_id)
    if request.attempts > MAX_ATTEMPTS:
        return _refuse(
            context,
            request,
            claim,
            code="busy",
            message=TOO_BUSY,
        )
    prefix = context.storage.prefix_for(request_id)
    try:
        if not create_marker(context, prefix, claim):
            log.warning("start_outcome_unknown", request_id=str(request_id), reason="marker exists")
            return Step.STOPPED
    except StorageUnavailable as error:
        # A marker that was left all the same stays: it may be another's, who did make the call.
        return _park(context, request, claim, reason=str(error))
    if turns.are_paced(context) and time.monotonic() > call_until:
        return _not_taken(context, request, claim, prefix, reason="its turn was over")
    return _call(context, request, claim, prefix)


def create_marker(context: Context, prefix: str, claim: UUID) -> bool:
    """Whether the marker is ours. An error may hide that it was made, so it is asked for again."""
    try:
        return context.storage.create_marker(prefix, claim)
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        return context.storage.create_marker(prefix, claim)


def _call(context: Context, request: Request, claim: UUID, prefix: str) -> Step:
    """Make the paid call, and do what its end means."""
    try:
        operation_name = context.provider.start(request, prefix)
    except Refused as error:
        log.warning("start_refused", request_id=str(request.id), code=error.code, reason=str(error))
        turns.over(context, request.id)
        return _refuse(context, request, claim, code=error.code, message=error.message)
    except NotTaken as error:
        turns.over(context, request.id)
        return _not_taken(context, request, claim, prefix, reason=str(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the call may have been taken
        log.error(
            "start_outcome_unknown",
            request_id=str(request.id),
            reason=f"{type(error).__name__}: {error}",
        )
        return Step.STOPPED
    step = _accepted(context, request, claim, prefix, operation_name)
    turns.over(context, request.id)
    return step


def _accepted(
    context: Context, request: Request, claim: UUID, prefix: str, operation_name: str
) -> Step:
    known = Meanwhile.of(
        request,
        status=Status.GENERATING,
        claim=claim,
        claimed_at=request.claimed_at,
        started_at=datetime.now(UTC),
        operation_name=operation_name,
        gcs_prefix=prefix,
    )
    # Whatever becomes of the write, an operator can find the operation.
    return insist(
        lambda: _record(context, request, claim, prefix, operation_name),
        known,
    )


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
        log.warning("start_accepted_late", request_id=str(request.id))
    return Step.DONE if is_ours else Step.STOPPED


def _not_taken(
    context: Context, request: Request, claim: UUID, prefix: str, *, reason: str
) -> Step:
    """Clear the marker, then the claim, and wait: in this order, a death between them is safe."""
    try:
        context.storage.remove_marker(prefix)
    except StorageUnavailable as error:
        log.error("marker_not_removed", request_id=str(request.id), reason=str(error))
        return Step.STOPPED
    return _park(context, request, claim, reason=reason)


def _park(context: Context, request: Request, claim: UUID, *, reason: str) -> Step:
    """Give the claim back and wait: no call was made."""
    delay = backoff(request.attempts)
    log.warning(
        "start_not_taken",
        request_id=str(request.id),
        reason=reason,
        next_try_seconds=round(delay.total_seconds(), 1),
    )
    # By whom nobody can follow, as long as the claim is ours.
    progress.tell(context, [(request, timedelta(0))])

    def write() -> Step:
        with context.database.autocommit() as conn:
            leases.release(conn, request.id, claim, due_in=delay)
        return Step.STOPPED

    known = Meanwhile.of(request, attempts=request.attempts, unused_claim=claim)
    return insist(write, known)


def _refuse(context: Context, request: Request, claim: UUID, *, code: str, message: str) -> Step:
    def write() -> Step:
        with context.database.begin() as conn:
            ended = requests.refuse(
                conn,
                request.id,
                code=code,
                message=message,
                claim=claim,
                is_counted=context.settings.failed_requests_count,
            )
        chain.announce(ended)
        return Step.STOPPED

    now = datetime.now(UTC)
    known = Meanwhile.of(
        request,
        status=Status.FAILED,
        started_at=now,
        completed_at=now,
        error_code=code,
        error_message=message,
        billed=False,
        counted=context.settings.failed_requests_count,
        answer_claim=uuid4(),
    )
    return insist(write, known)


def _not_claimed(context: Context, request_id: UUID) -> Step:
    """Nothing to claim: it came again, is somebody else's, was deleted, or it is not its turn."""
    with context.database.begin() as conn:
        request = requests.get(conn, request_id)
        if request is None:
            raise RequestNotFound(request_id)
        left = keeping.cancel(conn, request, is_counted=context.settings.failed_requests_count)
    turns.wait(context, left)
    return Step.DONE if request.status is Status.GENERATING else Step.STOPPED


def backoff(attempts: int) -> timedelta:
    """Exponential, from 1 s to a minute, with half of it left to chance."""
    ceiling = min(2.0 ** min(attempts, 10), LONGEST_BACKOFF.total_seconds())
    return timedelta(seconds=uniform(ceiling / 2, ceiling))  # noqa: S311 -- no secret
