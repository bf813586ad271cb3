"""The one paid call, and what its end means (DESIGN, 1 and 2): with Postgres and without.

No mark in the storage, no call; and only a call that was certainly not taken clears the mark. Of a
caller who dies in between, it is unknown whether the call was made; nobody makes it again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from uuid import UUID

import structlog

from db.records import Request
from workers import ends
from workers.attempts import MAX_ATTEMPTS, backoff
from workers.context import Context
from workers.ends import End
from workers.providers import NotTaken, Refused
from workers.quoting import without
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider makes the video."""

    operation_name: str


@dataclass(frozen=True, slots=True)
class PutOff:
    """No call of ours was taken; another one may be made after the delay."""

    delay: timedelta


class Unknown:
    """A call may have been taken, by whomever: it is looked for, and never made again."""


Outcome = Accepted | PutOff | End | Unknown


def call(
    context: Context,
    request: Request,
    claim: UUID,
    prefix: str,
    *,
    until: float = inf,
    another_takes: timedelta | None = None,
    forbidden: Callable[[], End | None] = lambda: None,
) -> Outcome:
    """Make the paid call, unless somebody has left the mark that he makes it.

    `request.attempts` counts this one. After `until`, by this process's clock, no call is made.
    Where whoever has left the mark is about to write what came of it, and `another_takes` so long
    for that, it is put off until then; not for ever, for he may be dead.
    The one who may make it asks whether it is `forbidden`: then the request ends so.
    """
    about = {"request_id": str(request.id)}
    try:
        if not _create_marker(context, prefix, claim):
            if another_takes is not None and request.attempts <= MAX_ATTEMPTS:
                log.info("call_is_anothers", **about)
                return PutOff(another_takes)
            log.warning("start_outcome_unknown", reason="marker exists", **about)
            return Unknown()
    except StorageUnavailable as error:
        # A marker that was left all the same stays: it may be another's, who did make the call.
        return _put_off(request, str(error), ends.not_storable(context))
    if (end := forbidden()) is not None:
        # The mark stays, so that nobody calls who has not heard of it.
        return end
    if time.monotonic() > until:
        return _not_taken(context, request, prefix, "its turn was over")
    try:
        return Accepted(context.provider.start(request, prefix))
    except Refused as error:
        log.warning("start_refused", code=error.code, reason=str(error), **about)
        return ends.refused(context, error)
    except NotTaken as error:
        return _not_taken(context, request, prefix, str(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the call may have been taken
        said = without(str(error), request.prompt, request.negative_prompt)
        log.error("start_outcome_unknown", reason=f"{type(error).__name__}: {said}", **about)
        return Unknown()


def _create_marker(context: Context, prefix: str, claim: UUID) -> bool:
    """Whether the marker is ours. An error may hide that it was made, so it is asked for again."""
    try:
        return context.storage.create_marker(prefix, claim)
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        return context.storage.create_marker(prefix, claim)


def _not_taken(context: Context, request: Request, prefix: str, reason: str) -> Outcome:
    outcome = _put_off(request, reason, ends.too_busy(context))
    if isinstance(outcome, PutOff):
        # Of one that has ended the mark stays, so that nobody calls who has not heard of it.
        try:
            context.storage.remove_marker(prefix)
        except StorageUnavailable as error:
            log.error("marker_not_removed", request_id=str(request.id), reason=str(error))
            return Unknown()
    return outcome


def _put_off(request: Request, reason: str, end: End) -> PutOff | End:
    """Another try later, but not for ever."""
    if request.attempts > MAX_ATTEMPTS:
        log.error("start_given_up", request_id=str(request.id), code=end.code, reason=reason)
        return end
    delay = backoff(request.attempts)
    log.warning(
        "start_not_taken",
        request_id=str(request.id),
        reason=reason,
        next_try_seconds=round(delay.total_seconds(), 1),
    )
    return PutOff(delay)
