"""The tasks, thin: each turns a message into one step, and a step's end into Celery's terms.

A link that has to stop raises Ignore, which ends the chain without calling it a failure. While
Postgres is away a task is retried; its chain and its headers stay with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import structlog
from celery import Task
from celery.exceptions import Ignore
from structlog.contextvars import bind_contextvars, clear_contextvars

from db.errors import DatabaseError, DatabaseUnavailable
from db.validation import InvalidRequest
from workers import chain, delivering, following, starting, sweeper, words
from workers.app import app
from workers.chain import BrokerUnavailable
from workers.context import context
from workers.discord import DiscordError
from workers.starting import Step

log = structlog.get_logger(__name__)


class DeliveryBroken(Exception):
    """A delivery failed as none should. The message holds no secret."""


class RequestTask(Task[Any, Any]):
    """What all tasks of the chain have in common."""

    autoretry_for = (DatabaseUnavailable, BrokerUnavailable)
    max_retries = None
    retry_backoff = 1
    retry_backoff_max = 30
    retry_jitter = True
    # Nothing is returned, and nothing that were returned by mistake would show.
    resultrepr_maxsize = 8

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Have every line of this task tell which task and which request it is about."""
        del kwargs
        clear_contextvars()
        bind_contextvars(task=self.name, task_id=task_id)
        if args and isinstance(args[0], str):
            bind_contextvars(request_id=args[0])


# Whatever Postgres says to it, a request that is not a row yet is in its message alone.
@app.task(
    bind=True,
    base=RequestTask,
    name="create_request",
    autoretry_for=(DatabaseError, BrokerUnavailable),
)
def create_request(self: RequestTask, request_id: str) -> None:
    """(nothing) → ``pending``, unless a limit is reached or the request cannot be taken on."""
    new = chain.received(self.request.headers)
    reply_to = chain.received_reply(self.request.headers)
    try:
        admission = starting.admit(context(), new, reply_to=reply_to)
    except InvalidRequest as error:
        log.warning("request_invalid", request_id=request_id, reason=str(error))
        chain.refuse(new, str(error), reply_to=reply_to)
        raise Ignore from None
    if admission.refused_by is not None:
        price = context().provider.price(new)
        chain.refuse(new, words.refusal(admission.refused_by, price), reply_to=reply_to)
    if not admission.is_allowed:
        raise Ignore


@app.task(base=RequestTask, name="start_generation")
def start_generation(request_id: str) -> None:
    """``pending → generating``, by one paid call."""
    _go_on_if(starting.start(context(), UUID(request_id)))


@app.task(base=RequestTask, name="poll_operation")
def poll_operation(request_id: str) -> None:
    """Ask once; the chain goes on only if the video is there already."""
    if not following.follow(context(), [UUID(request_id)]):
        raise Ignore


@app.task(base=RequestTask, name="finalize")
def finalize(request_id: str) -> None:
    """``generating → completed``."""
    _go_on_if(following.finalize(context(), UUID(request_id)))


@app.task(base=RequestTask, name="poll_operations")
def poll_operations(request_ids: list[str]) -> None:
    """Ask once about many, and send those whose videos are there on to the last link."""
    expires_at = datetime.now(UTC) + context().settings.rescue_after
    for request_id in following.follow(context(), [UUID(text) for text in request_ids]):
        chain.resume(request_id, at="finalize", expires_at=expires_at)


@app.task(bind=True, base=RequestTask, name="deliver")
def deliver(self: RequestTask, request_id: str) -> None:
    """Deliver the answer to a request that has ended; never two at once."""
    with _secrets_kept():
        # The same id when the message comes again because this process has died.
        delivering.deliver(context(), UUID(request_id), UUID(self.request.id))


@app.task(
    bind=True,
    base=RequestTask,
    name="deliver_refusal",
    autoretry_for=(DiscordError,),
    max_retries=8,
)
def deliver_refusal(self: RequestTask, request_id: str) -> None:
    """Tell why a request was not taken on. There is no row that would remember it."""
    del request_id
    headers = self.request.headers
    with _secrets_kept():
        new, reply_to = chain.received(headers), chain.received_reply(headers)
        delivering.refuse(context(), new, reply_to, chain.received_refusal(headers))


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


@app.task(base=RequestTask, name="sweep", acks_late=False, send_events=False, autoretry_for=())
def sweep() -> None:
    """Bring back what is due. The next sweep comes in a second, so this one is never retried."""
    try:
        sweeper.sweep(context())
    except (DatabaseUnavailable, BrokerUnavailable) as error:
        log.warning("sweep_failed", reason=str(error))


def _go_on_if(step: Step) -> None:
    if step is Step.STOPPED:
        raise Ignore
