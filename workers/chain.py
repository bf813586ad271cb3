"""The chain, written once: who follows whom, and what travels with a message.

Arguments carry the id, and where Postgres is away what became of the request (``carry_on``), for
Flower, events and logs show them. What must not be seen (the prompt, the token of an answer) goes
in the message's headers, which retries and redelivery keep, up to the link that makes the paid
call: from then on the row has all of it.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from celery import Signature, chain
from kombu import pools
from kombu.exceptions import OperationalError

from db.records import NewRequest, ReplyTo, Request
from db.validation import is_snowflake
from workers.app import CALLING, app
from workers.errors import BrokerUnavailable

__all__ = [
    "LINKS",
    "BrokerUnavailable",
    "ReplyTo",
    "announce",
    "call",
    "carry_on",
    "deliver",
    "enqueue",
    "poll_together",
    "refuse",
    "resume",
    "tell_places",
]

log = structlog.get_logger(__name__)

LINKS: Final = ("create_request", "start_generation", "poll_operation", "finalize")

#: Those that may have to go on without Postgres, by what their message carries.
CARRYING: Final = ("create_request", "start_generation")

HEADER: Final = "video_request"
#: Not `reply_to`: Celery has one of its own, and keeps it from us.
REPLY_HEADER: Final = "video_reply_to"
REFUSAL_HEADER: Final = "video_refusal"

UNUSED_HEADER: Final = "video_unused_claim"
ASKED_AT: Final = "video_asked_at"
"""The header that tells when somebody asked for it, however often it is sent."""

PATIENCE: Final = 2.0
"""Seconds that whoever asks for a video waits for each answer of Redis (DESIGN, 9)."""


def enqueue(
    new: NewRequest, *, reply_to: ReplyTo | None = None, asked_at: datetime | None = None
) -> None:
    """Send a new request on its way. `reply_to` is the deferred answer to be filled.

    It was asked for at `asked_at`, or now.

    Raises BrokerUnavailable, soon: a person waits. Whether the message has arrived all the same
    is unknown then; sent again with the same id it is the same request.
    """
    headers = _headers(new, reply_to) | {ASKED_AT: (asked_at or datetime.now(UTC)).isoformat()}
    hasty = app.connection_for_write(
        transport_options={
            "socket_connect_timeout": PATIENCE,
            "socket_timeout": PATIENCE,
            # A Redis that is just starting is worth a few tries, for that long in all.
            "connect_retries_timeout": PATIENCE,
            "interval_start": 0.1,
        }
    )
    with pools.connections[hasty].acquire(block=True) as connection:
        # Another try at the message would take its time again.
        _send(_links(LINKS, new.id, headers=headers), connection=connection, retry=False)


def carry_on(
    new: NewRequest, reply_to: ReplyTo | None, known: Mapping[str, Any], *, after: timedelta
) -> None:
    """Have a request go on without Postgres, from what is `known` of it: facts, and no secret."""
    signature = app.signature("carry_on", args=[str(new.id), dict(known)])
    _send(signature, headers=_headers(new, reply_to), countdown=after.total_seconds())


def resume(request_id: UUID, *, at: str, expires_at: datetime | None = None) -> None:
    """Send the rest of a request's chain, from the link `at`, for a row that is there.

    Messages that expire are not found waiting by a rescuer who comes back later.
    """
    rest = LINKS[LINKS.index(at) :]
    _send(_links(rest, request_id, expires=expires_at))


def call(request_id: UUID, *, expires_at: datetime) -> None:
    """Start a request whose turn it is, past all that wait to be admitted."""
    rest = LINKS[LINKS.index("start_generation") :]
    _send(_links(rest, request_id, expires=expires_at), queue=CALLING)


def poll_together(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task ask about all of these requests."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("poll_operations", args=[ids], expires=expires_at))


def deliver(request_id: UUID) -> None:
    """Have the answer to a request that has ended delivered."""
    _send(app.signature("deliver", args=[str(request_id)]))


def look_for_late(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task look for the videos of these requests, which have timed out."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("look_for_late", args=[ids], expires=expires_at))


def deliver_late(request_id: UUID) -> None:
    """Have a video that appeared after the timeout delivered."""
    _send(app.signature("deliver_late", args=[str(request_id)]))


def tell_places(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task tell those who wait for these requests their places in line."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("tell_places", args=[ids], expires=expires_at))


def announce(ended: Request) -> None:
    """Have the end of a request told, where there is somebody to tell. Never raises.

    What cannot be sent now the sweeper sends: the end was written with the time it is due.
    """
    if ended.delivery_due_at is None:
        return
    try:
        deliver(ended.id)
    except BrokerUnavailable as error:
        log.warning("deliver_not_sent", request_id=str(ended.id), reason=str(error))


def refuse(new: NewRequest, sentence: str, *, reply_to: ReplyTo | None) -> None:
    """Have the one who asked told why the request is not taken on: there is no row of it."""
    if reply_to is None and not is_snowflake(new.channel_id):
        return
    headers = _headers(new, reply_to) | {REFUSAL_HEADER: sentence}
    _send(app.signature("deliver_refusal", args=[str(new.id)]), headers=headers)


def clean_up(run: Mapping[str, Any]) -> None:
    """Have a cleanup go on where its last slice ended."""
    _send(app.signature("cleanup", kwargs={"run": run}))


def remove_forgotten(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task remove the outputs, and when it is time the rows, of these requests."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("remove_forgotten", args=[ids], expires=expires_at))


def carries_request(headers: Mapping[str, Any] | None) -> bool:
    """Whether a message is one of :func:`enqueue`, or goes on from there."""
    return HEADER in (headers or {})


def received(headers: Mapping[str, Any] | None) -> NewRequest:
    """The new request that a message of :func:`enqueue` carries.

    Raises KeyError without one, and LaterRelease where it holds what is not known here.
    """
    return NewRequest.from_row((headers or {})[HEADER])


def received_reply(headers: Mapping[str, Any] | None) -> ReplyTo | None:
    """The deferred answer that such a message is to fill, if any."""
    found = (headers or {}).get(REPLY_HEADER)
    return None if found is None else ReplyTo(found["application_id"], found["token"])


def received_asked_at(headers: Mapping[str, Any] | None) -> datetime | None:
    """When it was asked for; None of a message of the release before, which did not tell."""
    found = (headers or {}).get(ASKED_AT)
    return None if found is None else datetime.fromisoformat(found)


def with_unused(headers: Mapping[str, Any], claim: UUID | None) -> dict[str, Any]:
    """The headers of a start that is tried again, whose row may have a claim without a call."""
    return {**headers, UNUSED_HEADER: None if claim is None else str(claim)}


def received_unused(headers: Mapping[str, Any]) -> UUID | None:
    """That claim, if there may be one."""
    found = headers.get(UNUSED_HEADER)
    return None if found is None else UUID(found)


def received_refusal(headers: Mapping[str, Any] | None) -> str:
    """The sentence that a message of :func:`refuse` carries."""
    return str((headers or {})[REFUSAL_HEADER])


def _headers(new: NewRequest, reply_to: ReplyTo | None) -> dict[str, Any]:
    headers: dict[str, Any] = {HEADER: new.as_row()}
    if reply_to is not None:
        headers[REPLY_HEADER] = {
            "application_id": reply_to.application_id,
            "token": reply_to.token,
        }
    return headers


def _links(
    names: Sequence[str],
    request_id: UUID,
    *,
    headers: Mapping[str, Any] | None = None,
    **options: Any,
) -> Signature[Any]:
    arguments = [str(request_id)]
    carrying = options if headers is None else options | {"headers": dict(headers)}
    return chain(
        *(
            app.signature(
                name,
                args=arguments,
                immutable=True,
                options=carrying if name in CARRYING else options,
            )
            for name in names
        )
    )


def _send(signature: Signature[Any], **options: Any) -> None:
    try:
        signature.apply_async(**options)
    except OperationalError as error:
        raise BrokerUnavailable(f"Redis did not confirm the message: {error}") from error
