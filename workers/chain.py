"""The chain, written once: who follows whom, and what travels with a message.

Arguments carry the id and nothing else, for Flower, events and logs show them. What must not be
seen (the prompt) travels in the message's headers, which links, retries and redelivery keep.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from celery import Signature, chain
from kombu import pools
from kombu.exceptions import OperationalError

from db.records import NewRequest
from workers.app import app

LINKS: Final = ("create_request", "start_generation", "poll_operation", "finalize")

HEADER: Final = "video_request"
#: Not `reply_to`: Celery has one of its own.
REPLY_HEADER: Final = "video_reply_to"

PATIENCE: Final = 2.0
"""Seconds that whoever asks for a video waits for each answer of Redis (DESIGN, 9)."""


class BrokerUnavailable(Exception):
    """Redis did not confirm that it has the message. The reason names no password."""


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """The interaction that asked, whose answer a worker can edit as long as its token lives."""

    application_id: str
    token: str = field(repr=False)


def enqueue(new: NewRequest, *, reply_to: ReplyTo | None = None) -> None:
    """Send a new request on its way, with the interaction that is to be answered.

    Raises BrokerUnavailable, soon: a person waits. Whether the message has arrived all the same
    is unknown then; sent again with the same id it is the same request.
    """
    headers: dict[str, Any] = {HEADER: new.as_row()}
    if reply_to is not None:
        headers[REPLY_HEADER] = asdict(reply_to)
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


def resume(request_id: UUID, *, at: str, expires_at: datetime) -> None:
    """Send the rest of a request's chain, from the link `at`, for a row that is there.

    The messages expire, so that a rescuer who comes back later finds none of them waiting.
    """
    rest = LINKS[LINKS.index(at) :]
    _send(_links(rest, request_id, expires=expires_at))


def poll_together(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task ask about all of these requests."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("poll_operations", args=[ids], expires=expires_at))


def clean_up(run: Mapping[str, Any]) -> None:
    """Have a cleanup go on where its last slice ended."""
    _send(app.signature("cleanup", kwargs={"run": run}))


def remove_forgotten(request_ids: Sequence[UUID], *, expires_at: datetime) -> None:
    """Have one task remove the outputs, and when it is time the rows, of these requests."""
    ids = [str(request_id) for request_id in request_ids]
    _send(app.signature("remove_forgotten", args=[ids], expires=expires_at))


def received(headers: Mapping[str, Any] | None) -> NewRequest:
    """The new request that a message of :func:`enqueue` carries. Raises KeyError without one."""
    return NewRequest.from_row((headers or {})[HEADER])


def _links(names: Sequence[str], request_id: UUID, **options: Any) -> Signature[Any]:
    arguments = [str(request_id)]
    return chain(
        *(app.signature(name, args=arguments, immutable=True, options=options) for name in names)
    )


def _send(signature: Signature[Any], **options: Any) -> None:
    try:
        signature.apply_async(**options)
    except OperationalError as error:
        raise BrokerUnavailable(f"Redis did not confirm the message: {error}") from error
