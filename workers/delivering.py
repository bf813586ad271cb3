"""Delivery: the one answer to a request that has ended, and an apology for what came late.

A leased claim, a send that may repeat, and its record (DESIGN, 8). Nothing here waits for Discord
to feel better: an attempt that fails is parked, and the sweeper brings it back.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog

from db import deliveries
from db.deliveries import ANSWER, Record
from db.meanwhile import Meanwhile
from db.records import Delivery, Request
from workers import answer_marks, answers, memory
from workers.answers import Video
from workers.app import TASK_TIME_LIMIT
from workers.context import Context
from workers.discord import DiscordError, File, RateLimited, Unavailable
from workers.insisting import or_unwritten
from workers.progress import AT_MOST
from workers.sending import Hopeless, Sending, nonce
from workers.storage import StorageUnavailable, link_to
from workers.words import figure

log = structlog.get_logger(__name__)

LEASE: Final = timedelta(seconds=TASK_TIME_LIMIT)
"""No attempt lives longer."""
ATTACHABLE: Final = 9_961_472
"""Bytes, 9.5 MiB: Discord takes 10 MiB, the rest of the message included."""
MOST_ATTEMPTS: Final = 36
LONGEST_DELAY: Final = timedelta(hours=1)
"""Doubling from a second, then hourly: a day in all."""
LEASES: Final = 2
"""Leases for which whoever has answered without Postgres may take to write it down."""
STORAGE_ATTEMPTS: Final = 4
"""Attempts for which a storage that does not answer is waited for."""


def deliver(context: Context, request_id: UUID, claim: UUID, *, record: Record = ANSWER) -> None:
    """Deliver the answer to a request, unless somebody else does, did, or nobody shall.

    With the record of a late video it is that one, in a message of its own. `claim` is the
    caller's own, and the same when its message comes again. Raises Unwritten where Postgres goes
    after that.
    """
    with context.database.begin() as conn:
        delivery = deliveries.claim(conn, request_id, claim, lease=LEASE, record=record)
        if delivery is None:
            return
        if delivery.request.deleted_at or delivery.request.forgotten_at:
            deliveries.drop(conn, request_id, claim, record=record)
            # As it was before it was deleted, it is not to be answered in an outage either.
            memory.forget(request_id)
            log.info("delivery_dropped", request_id=str(request_id))
            return
    if not record.is_late:
        if _was_sent(context, delivery):
            _write_unknown(context, delivery)
            return
        if not _is_ours(context, delivery):
            return
        memory.keep(context, delivery.request, due_in=LEASE, reply_to=delivery.reply_to)
    known = _known(delivery, record)
    sending = _sending(context, delivery, record)
    try:
        told = _send(context, delivery, sending, record)
    except DiscordError as error:
        with or_unwritten(known):
            _record_failure(context, delivery, claim, error, sending.detours, record)
        return
    known = replace(known, delivered_at=datetime.now(UTC), delivery=told)
    with or_unwritten(known), context.database.begin() as conn:
        is_first = deliveries.delivered(conn, request_id, told, record=record)
    memory.forget(request_id)
    if is_first:
        log.info("request_delivered", request_id=str(request_id), **told)


def _known(delivery: Delivery, record: Record) -> Meanwhile:
    """What goes on without Postgres. What comes late waits for it, unless it was sent."""
    request = delivery.request
    claim = None if record.is_late else request.id
    return Meanwhile.of(
        request,
        attempts=delivery.attempts,
        answer_claim=claim,
        is_late=record.is_late,
        # The row's own is that of the first answer.
        delivered_at=None,
    )


def _is_ours(context: Context, delivery: Delivery) -> bool:
    """Whether nobody has answered without Postgres, as far as can be told.

    Whoever has will write it down before the lease is over. If nobody does, it is answered again.
    """
    try:
        is_ours = answer_marks.may_answer(context, delivery.request.id, delivery.request.id)
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        return True
    return is_ours or delivery.attempts > LEASES


def _was_sent(context: Context, delivery: Delivery) -> bool:
    """Whether it was answered without Postgres by somebody who does not come to write it."""
    if delivery.attempts == 1:
        return False
    try:
        return answer_marks.is_sent(context.storage, delivery.request.id)
    except StorageUnavailable as error:
        log.warning("marker_not_confirmed", reason=str(error))
        return False


def _write_unknown(context: Context, delivery: Delivery) -> None:
    """Write an answer of which nothing is known but that it was given."""
    request_id = delivery.request.id
    told: dict[str, Any] = {"how": "unknown", "attempts": delivery.attempts}
    with context.database.begin() as conn:
        deliveries.delivered(conn, request_id, told)
    memory.forget(request_id)
    log.info("request_delivered", request_id=str(request_id), **told)


def deliver_unrecorded(context: Context, delivery: Delivery) -> dict[str, Any]:
    """Deliver an answer of which nothing can be read or written now; how it went, for its event.

    Raises DiscordError.
    """
    told = _send(context, delivery, _sending(context, delivery, ANSWER), ANSWER)
    log.info("request_delivered", request_id=str(delivery.request.id), **told)
    return told


def _sending(context: Context, delivery: Delivery, record: Record) -> Sending:
    request = delivery.request
    sending = Sending(
        context.discord,
        nonce(request.id),
        request.channel_id,
        delivery.reply_to,
        partial(answers.answer, request),
        partial(_link, context, request),
    )
    if not record.is_late:
        return sending
    # Nobody is told of an edit, and this one the person does not wait for any more.
    return replace(
        sending,
        nonce=nonce(request.id, is_late=True),
        compose=partial(answers.late, request, figure(context.settings.generation_timeout)),
        reply_to=None,
        instead=delivery.reply_to,
    )


def _send(context: Context, delivery: Delivery, sending: Sending, record: Record) -> dict[str, Any]:
    """Send it; what the event tells of it."""
    if delivery.attempts > MOST_ATTEMPTS:
        raise Hopeless(f"{MOST_ATTEMPTS} attempts came to nothing")
    # Of what timed out the first answer says just that, whatever was found since.
    is_to_go = record.is_late or not delivery.request.is_late
    videos = (delivery.request.video_urls or ()) if is_to_go else ()
    # An edit that tells of progress may be under way, and must not come after the answer.
    time.sleep(min(delivery.not_before, AT_MOST).total_seconds())
    try:
        _take_video(context, delivery.request, sending, videos)
    except StorageUnavailable as error:
        reason = f"The storage does not give the video: {error}"
        if delivery.attempts < STORAGE_ATTEMPTS:
            raise Unavailable(reason) from None
        sending.video = Video.ELSEWHERE
        sending.detours.append(reason)
    sending.send()
    return {
        "how": sending.how,
        "video": sending.video.name.lower() if videos else None,
        "attempts": delivery.attempts,
        "detours": sending.detours,
        **_mark(record),
    }


def _take_video(
    context: Context, request: Request, sending: Sending, videos: Sequence[str]
) -> None:
    """Have the first video sent along, if it fits."""
    for address in videos[:1]:
        size = context.storage.size(address)
        if size > ATTACHABLE:
            sending.video = Video.TOO_LARGE
            return
        with context.storage.open(address) as video:
            sending.file = File(f"{request.id}.mp4", video.read(size))


def _link(context: Context, request: Request) -> str | None:
    """Where the one who asked can see the video; None where nowhere, or not now."""
    try:
        return link_to(context.storage, request.video_urls)
    except StorageUnavailable as error:
        log.warning("link_not_made", request_id=str(request.id), reason=str(error))
        return None


def _record_failure(
    context: Context,
    delivery: Delivery,
    claim: UUID,
    error: DiscordError,
    detours: list[str],
    record: Record,
) -> None:
    request_id = delivery.request.id
    told: dict[str, Any] = {
        "reason": str(error),
        "attempts": delivery.attempts,
        "detours": detours,
        **_mark(record),
    }
    with context.database.begin() as conn:
        if isinstance(error, Hopeless):
            deliveries.give_up(conn, request_id, claim, told, record=record)
            log.error("delivery_given_up", request_id=str(request_id), **told)
            return
        delay = delay_after(error, delivery.attempts)
        deliveries.park(conn, request_id, claim, due_in=delay, told=told, record=record)
        wait = round(delay.total_seconds(), 1)
        log.warning("delivery_parked", request_id=str(request_id), next_try_seconds=wait, **told)


def _mark(record: Record) -> dict[str, Any]:
    """What an event and a line of the log say besides of the second delivery of a request."""
    return {"late": True} if record.is_late else {}


def delay_after(error: DiscordError, attempts: int) -> timedelta:
    """Until the next attempt: what Discord asks for, or twice as long as the last time."""
    wait = 2.0 ** min(attempts - 1, 12)
    if isinstance(error, RateLimited):
        wait = max(error.retry_after, 0.1)
    return min(timedelta(seconds=wait), LONGEST_DELAY)
