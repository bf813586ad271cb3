"""The tasks, thin: each turns a message into one step, and a step's end into Celery's terms.

A link that has to stop raises Ignore, which ends the chain without calling it a failure. While
Postgres is away a task is retried; its chain and its headers stay with it.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from celery.exceptions import Ignore

from db.errors import DatabaseError, DatabaseUnavailable, LaterRelease
from db.meanwhile import Meanwhile
from db.sent import LIFE
from db.validation import InvalidRequest
from workers import (
    admitting,
    aftermath,
    chain,
    following,
    late,
    outage,
    privacy,
    recovering,
    retention,
    starting,
    sweeper,
    words,
)
from workers.app import app
from workers.attempts import backoff
from workers.context import context
from workers.errors import BrokerUnavailable
from workers.insisting import NotClaimed, Unwritten
from workers.request_task import RequestTask
from workers.starting import Step
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

HICCUP: Final = 3
"""Tries again, within some seconds, before a task of following is left to those who go on alone."""

FIRST: Final = timedelta(seconds=5)
"""Younger messages are the first of their requests, which nobody can have begun: the bot sends none
again sooner, nor does Celery."""


# Whatever Postgres says to it, and whoever has made it, a request that is not a row yet is in its
# message alone.
@app.task(
    bind=True,
    base=RequestTask,
    name="create_request",
    autoretry_for=(DatabaseError, BrokerUnavailable),
)
def create_request(self: RequestTask, request_id: str) -> None:
    """(nothing) → ``pending``, unless a limit is reached or the request cannot be taken on."""
    asked_at = chain.received_asked_at(self.request.headers)
    reply_to = chain.received_reply(self.request.headers)
    try:
        new = chain.received(self.request.headers)
    except LaterRelease as error:
        if asked_at is None or datetime.now(UTC) - asked_at < LIFE:
            raise
        # Whoever has asked was told an end.
        log.error("request_given_up", reason=str(error))
        raise Ignore from None
    try:
        admission = admitting.admit(context(), new, reply_to=reply_to, asked_at=asked_at)
    except InvalidRequest as error:
        log.warning("request_invalid", request_id=request_id, reason=str(error))
        chain.refuse(new, str(error), reply_to=reply_to)
        raise Ignore from None
    except DatabaseUnavailable as error:
        known = Meanwhile(admitting.priced(context(), new), asked_at or datetime.now(UTC))
        outage.take_over(context(), known, reply_to, error)
        raise Ignore from None
    is_first = asked_at is not None and datetime.now(UTC) - asked_at < FIRST
    if admission.refused_by is not None and not is_first:
        try:
            is_to_be_recovered = recovering.is_wanted(context().storage, new.id)
        except StorageUnavailable as error:
            # Nobody is refused who has perhaps paid: the bot sends it again, and then it may show.
            log.warning("marker_not_confirmed", reason=str(error))
            raise Ignore from None
        if is_to_be_recovered:
            recovering.recover(context(), admitting.priced(context(), new), reply_to, asked_at)
            raise Ignore
    if admission.refused_by is not None:
        price = context().provider.price(new)
        chain.refuse(new, words.refusal(admission.refused_by, price), reply_to=reply_to)
    if not admission.is_allowed:
        raise Ignore


@app.task(bind=True, base=RequestTask, name="start_generation")
def start_generation(self: RequestTask, request_id: str) -> None:
    """``pending → generating``, by one paid call."""
    headers = self.request.headers or {}
    new = chain.received(headers) if chain.carries_request(headers) else None
    try:
        unused = chain.received_unused(headers)
        step = starting.start(context(), UUID(request_id), unused=unused)
    except NotClaimed as error:
        if new is None or not aftermath.is_outage(context(), error):
            # It waits for Postgres; and of the claim only this message knows, which is to last.
            after = backoff(self.request.retries).total_seconds()
            told = chain.with_unused(headers, error.unused)
            lasting: dict[str, Any] = {"headers": told, "expires": None}
            raise self.retry(exc=error, countdown=after, **lasting) from None
        new = admitting.priced(context(), new)
        known = Meanwhile(new, datetime.now(UTC), has_row=True, unused_claim=error.unused)
        outage.take_over(context(), known, chain.received_reply(headers), error)
        raise Ignore from None
    except Unwritten as error:
        outage.take_over(context(), error.known, chain.received_reply(headers), error)
        raise Ignore from None
    _go_on_if(step)


@app.task(bind=True, base=RequestTask, name="poll_operation")
def poll_operation(self: RequestTask, request_id: str) -> None:
    """Ask once; the chain goes on only if the video is there already."""
    with _going_on(self, {request_id}):
        ready = following.follow(context(), [UUID(request_id)])
    if not ready:
        raise Ignore


@app.task(bind=True, base=RequestTask, name="finalize")
def finalize(self: RequestTask, request_id: str) -> None:
    """``generating → completed``."""
    with _going_on(self, {request_id}):
        step = following.finalize(context(), UUID(request_id))
    _go_on_if(step)


@app.task(bind=True, base=RequestTask, name="poll_operations")
def poll_operations(self: RequestTask, request_ids: list[str]) -> None:
    """Ask once about many, and send those whose videos are there on to the last link."""
    expires_at = datetime.now(UTC) + context().settings.rescue_after
    with _going_on(self, {*request_ids}):
        ready = following.follow(context(), [UUID(text) for text in request_ids])
    for request_id in ready:
        chain.resume(request_id, at="finalize", expires_at=expires_at)


@contextmanager
def _going_on(task: RequestTask, request_ids: AbstractSet[str]) -> Iterator[None]:
    """Where Postgres goes, have the requests go on without it that this process has seen last.

    If these are among them, nothing is left to do. Nor is it for long: those who have seen them
    have them go on, and when Postgres is back they are due.
    """
    # A later try may be long after the outage.
    if 0 < task.request.retries <= HICCUP:
        aftermath.meet(context(), DatabaseUnavailable("It was away a moment ago"))
    try:
        yield
    except DatabaseUnavailable as error:
        taken = {str(each) for each in outage.take_over_seen(context(), error)}
        is_over = aftermath.is_outage(context(), error) and task.request.retries >= HICCUP
        if request_ids <= taken or is_over:
            raise Ignore from None
        raise


@app.task(base=RequestTask, name="look_for_late")
def look_for_late(request_ids: list[str]) -> None:
    """Look once for the videos of many requests that have timed out."""
    late.look(context(), [UUID(text) for text in request_ids])


@app.task(base=RequestTask, name="sweep", acks_late=False, send_events=False, autoretry_for=())
def sweep() -> None:
    """Bring back what is due. The next sweep comes in a second, so this one is never retried."""
    try:
        try:
            sweeper.sweep(context())
        except DatabaseUnavailable as error:
            log.warning("sweep_failed", reason=str(error))
            outage.take_over_seen(context(), error)
    except BrokerUnavailable as error:
        log.warning("sweep_failed", reason=str(error))


class CleanupTask(RequestTask):
    """What a cleanup returns is for operators to see in Flower: how many requests it deleted."""

    resultrepr_maxsize = 64


@app.task(base=CleanupTask, name="cleanup")
def cleanup(run: dict[str, Any] | None = None) -> str:
    """Delete what is older than REQUEST_RETENTION_DAYS (RE1), or a slice of that; says how many.

    A message that comes again goes over the same ground, finds it clean, and goes on.
    """
    age = context().settings.retention
    if age is None:
        # It was set when this was sent.
        log.warning("cleanup_not_wanted")
        return "not wanted"
    done = retention.clean_for_a_while(context().database, context().storage, age, run)
    if done is None:
        return "another one runs"
    if done.is_finished:
        return f"deleted {done.deleted}"
    chain.clean_up(done.as_message())
    return f"deleted {done.deleted} so far"


@app.task(base=RequestTask, name="remove_forgotten")
def remove_forgotten(request_ids: list[str]) -> None:
    """Remove the outputs of forgotten requests that have ended, and the rows when it is time."""
    ids = [UUID(text) for text in request_ids]
    privacy.remove(context().database, context().storage, ids)


def _go_on_if(step: Step) -> None:
    if step is Step.STOPPED:
        raise Ignore
