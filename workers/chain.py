"""The chain, written once: who follows whom, and what travels with a message.

Arguments carry the id and nothing else, for Flower, events and logs show them. What must not be
seen (the prompt) travels in the message's headers, which links, retries and redelivery keep.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from celery import Signature, chain
from kombu.exceptions import OperationalError

from db.records import NewRequest
from workers.app import app

LINKS: Final = ("create_request", "start_generation", "poll_operation", "finalize")

HEADER: Final = "video_request"


class BrokerUnavailable(Exception):
    """Redis did not take the message. The reason names no password."""


def enqueue(new: NewRequest) -> None:
    """Send a new request on its way. Raises BrokerUnavailable."""
    headers = {HEADER: new.as_row()}
    _send(_links(LINKS, new.id, headers=headers))


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


def received(headers: Mapping[str, Any] | None) -> NewRequest:
    """The new request that a message of :func:`enqueue` carries. Raises KeyError without one."""
    return NewRequest.from_row((headers or {})[HEADER])


def _links(names: Sequence[str], request_id: UUID, **options: Any) -> Signature[Any]:
    arguments = [str(request_id)]
    return chain(
        *(app.signature(name, args=arguments, immutable=True, options=options) for name in names)
    )


def _send(signature: Signature[Any]) -> None:
    try:
        signature.apply_async()
    except OperationalError as error:
        raise BrokerUnavailable(f"Redis did not take the message: {error}") from error
