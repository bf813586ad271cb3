"""The tasks that deliver, thin as the others, and silent about what they hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from db.deliveries import ANSWER, LATE, Record
from db.errors import DatabaseError, DatabaseUnavailable, LaterRelease
from workers import chain, delivering, outage, refusing, turns
from workers.app import app
from workers.chain import BrokerUnavailable
from workers.context import context
from workers.discord import DiscordError
from workers.insisting import Unwritten
from workers.request_task import RequestTask


class DeliveryBroken(Exception):
    """A delivery failed as none should. The message holds no secret."""


@app.task(bind=True, base=RequestTask, name="deliver")
def deliver(self: RequestTask, request_id: str) -> None:
    """Deliver the answer to a request that has ended; never two at once."""
    _deliver(self, request_id, ANSWER)


@app.task(bind=True, base=RequestTask, name="deliver_late")
def deliver_late(self: RequestTask, request_id: str) -> None:
    """Deliver a video that appeared after the timeout; never two at once."""
    _deliver(self, request_id, LATE)


def _deliver(task: RequestTask, request_id: str, record: Record) -> None:
    with _secrets_kept():
        try:
            # The same id when the message comes again because this process has died.
            delivering.deliver(context(), UUID(request_id), UUID(task.request.id), record=record)
        except Unwritten as error:
            outage.take_over(context(), error.known, None, error)
        except DatabaseUnavailable as error:
            outage.take_over_seen(context(), error)
            raise


@app.task(
    bind=True,
    base=RequestTask,
    name="deliver_refusal",
    autoretry_for=(DiscordError, LaterRelease),
    max_retries=8,
)
def deliver_refusal(self: RequestTask, request_id: str) -> None:
    """Tell why a request was not taken on. There is no row that would remember it."""
    del request_id
    headers = self.request.headers
    with _secrets_kept():
        new, reply_to = chain.received(headers), chain.received_reply(headers)
        refusing.refuse(context(), new, reply_to, chain.received_refusal(headers))


@app.task(
    bind=True,
    base=RequestTask,
    name="carry_on",
    autoretry_for=(DatabaseError, BrokerUnavailable, DeliveryBroken),
)
def carry_on(self: RequestTask, request_id: str, known: dict[str, Any]) -> None:
    """A request's next step while Postgres is away; what is known is in its message alone."""
    del request_id
    headers = self.request.headers
    with _secrets_kept():
        it = outage.received(chain.received(headers), known)
        outage.carry_on(context(), it, chain.received_reply(headers))


@app.task(base=RequestTask, name="tell_places", autoretry_for=())
def tell_places(request_ids: list[str]) -> None:
    """Tell those in line their places; they move on, so it is not told late."""
    with _secrets_kept():
        turns.tell(context(), [UUID(text) for text in request_ids])


@contextmanager
def _secrets_kept() -> Iterator[None]:
    """Whatever goes wrong, what is raised says nothing of what was being sent, or where to."""
    try:
        yield
    except (DatabaseError, BrokerUnavailable, DiscordError):
        raise
    except Exception as error:  # noqa: BLE001 -- its own words may have the token
        kind = type(error).__name__
        raise DeliveryBroken(f"Unexpected in a delivery: {kind}") from None
