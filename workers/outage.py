"""A request that goes on while Postgres is away, by its message and its mark (DG1 to DG3).

What is known of it travels from message to message, and each of them first tries to write it down:
from then on the request is one like any other. Until then the mark in the storage decides who may
make the paid call, and another one who may answer; whatever comes again finds them there.
"""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID, uuid4

import structlog
from pydantic import TypeAdapter

from db import backfill, probe
from db.errors import DatabaseUnavailable
from db.meanwhile import Meanwhile
from db.records import NewRequest, ReplyTo, Request
from db.states import Status
from workers import (
    aftermath,
    announcing,
    answering_alone,
    chain,
    ending,
    following_alone,
    memory,
    progress,
    starting_alone,
)
from workers.attempts import backoff
from workers.chain import BrokerUnavailable
from workers.context import Context

log = structlog.get_logger(__name__)

LONGEST_PAUSE: Final = timedelta(seconds=15)
"""Between one message and the next: far below the visibility timeout, and well within the time for
which the sweeper waits when Postgres is back."""
LEFT_ALONE: Final = 2.0
"""Seconds for which a Postgres that did not answer is not asked again, or thrice as long as that
took: one that stands still would take up all the time there is."""

AT_ONCE: Final = 1000
"""Requests that are taken over at a time: a task has to end in time."""

_KNOWN: Final = TypeAdapter(Meanwhile)
_left_alone_until = [0.0]


def take_over(
    context: Context, known: Meanwhile, reply_to: ReplyTo | None, error: DatabaseUnavailable
) -> None:
    """Have a request go on without Postgres.

    Where that is not wanted, what nobody else knows of it waits to be written. Of what nobody has
    touched that is nothing: then it raises the error.
    """
    is_met = aftermath.meet(context, error)
    if not is_met and _is_untouched(known) and known.unused_claim is None:
        raise error
    new = known.new
    if seen := memory.forget(new.id):
        reply_to = reply_to or seen.reply_to
    _leave_alone(0)
    # Of what nobody has begun yet nothing is lost by asking once more: it may be a hiccup.
    pause = LEFT_ALONE if _is_untouched(known) else 0
    _send(context, known, reply_to, timedelta(seconds=pause))
    log.error(
        "request_goes_on_unwritten",
        request_id=str(new.id),
        user_id=new.user_id,
        guild_id=new.guild_id,
        channel_id=new.channel_id,
        parameters=new.parameters(),
        status=known.status,
        operation_name=known.operation_name,
        reason=str(error),
    )
    if not known.has_row:
        log.warning("Rate limiting degraded", user_id=new.user_id, reason=str(error))


def take_over_seen(context: Context, error: DatabaseUnavailable) -> set[UUID]:
    """Have those go on without Postgres that this process has seen last; which ones.

    That is those that are due now, which nobody can take up. None, where that is not wanted.
    """
    if not aftermath.meet(context, error):
        return set()
    taken = memory.take(most=AT_ONCE)
    for place, each in enumerate(taken):
        # If it has ended, whoever else answers has a claim of his own.
        known = Meanwhile.of(each.request, answer_claim=uuid4())
        it = ending.seen(known, each.end) if each.end else known
        try:
            take_over(context, it, each.reply_to, error)
        except BrokerUnavailable:
            memory.put_back(taken[place:])
            raise
    return {each.request.id for each in taken}


def carry_on(context: Context, known: Meanwhile, reply_to: ReplyTo | None) -> None:
    """Write down what is known; if that cannot be, take the next step without, or wait."""
    began = time.monotonic()
    if began >= _left_alone_until[0]:
        try:
            if _is_untouched(known) and not known.has_row:
                _ask_for_anew(context, known, reply_to)
                return
            with context.database.begin() as conn:
                settings = context.settings
                row = backfill.write(
                    conn, known, reply_to, lease=settings.rescue_after, keep=settings.retention
                )
        except DatabaseUnavailable as error:
            _leave_alone(time.monotonic() - began)
            log.debug("request_still_unwritten", reason=str(error))
        else:
            log.info("request_written_afterwards", status=known.status)
            _hand_back(context, row, reply_to)
            return
    after = _next(context, known, reply_to)
    if after is not None:
        _send(context, *after)


def _is_untouched(known: Meanwhile) -> bool:
    return known.status is Status.PENDING and known.claim is None


def _ask_for_anew(context: Context, known: Meanwhile, reply_to: ReplyTo | None) -> None:
    """Have it admitted as any other request, with every limit. Raises DatabaseUnavailable."""
    with context.database.autocommit() as conn:
        # That a connection is to be had does not say that Postgres is still there, for writes too.
        probe.require_writable(conn)
    chain.enqueue(known.new, reply_to=reply_to, asked_at=known.asked_at)
    log.info("request_asked_anew")


def _leave_alone(took: float) -> None:
    until = time.monotonic() + max(LEFT_ALONE, 3 * took)
    _left_alone_until[0] = max(_left_alone_until[0], until)


def facts(known: Meanwhile) -> dict[str, Any]:
    """What is known besides the request itself: the arguments of the next message."""
    told = _KNOWN.dump_python(known, mode="json", exclude={"new"}, exclude_defaults=True)
    return cast("dict[str, Any]", told)


def received(new: NewRequest, told: Mapping[str, Any]) -> Meanwhile:
    """The reverse of :func:`facts`, with the request that the message carries."""
    return _KNOWN.validate_python({**told, "new": new})


def _send(context: Context, known: Meanwhile, reply_to: ReplyTo | None, pause: timedelta) -> None:
    after = min(pause, LONGEST_PAUSE, context.settings.rescue_after / 2)
    # An edit that tells of progress may be under way, and must not come after an answer.
    after = max(after, progress.under_way(known.new.id))
    chain.carry_on(known.new, reply_to, facts(known), after=after)


def _next(
    context: Context, known: Meanwhile, reply_to: ReplyTo | None
) -> tuple[Meanwhile, ReplyTo | None, timedelta] | None:
    """What is known after the next step, and how long to pause; None if another goes on."""
    if context.settings.database_outage == "refuse":
        step = _wait(known)
    elif known.status is Status.PENDING and known.claim is None:
        step = starting_alone.start(context, known)
    elif not known.status.has_ended:
        step = following_alone.follow(context, known)
    elif answering_alone.is_wanted(known):
        found = answering_alone.answer(context, known, reply_to)
        if found is None:
            return None
        step = found
    else:
        step = _wait(known)
    return step[0], reply_to, step[1]


def _wait(known: Meanwhile) -> tuple[Meanwhile, timedelta]:
    """Nothing is done but to wait for the writing."""
    again = replace(known, attempts=known.attempts + 1)
    return again, backoff(again.attempts)


def _hand_back(context: Context, row: Request | None, reply_to: ReplyTo | None) -> None:
    """Have it go on as any other request does."""
    if row is None:
        return
    # Should Postgres go again at once.
    memory.keep_sent(context, row, reply_to)
    if row.status.has_ended:
        announcing.announce(context, row)
        return
    is_followed = row.status is Status.GENERATING or row.claim is not None
    link = "poll_operation" if is_followed else "start_generation"
    expires_at = datetime.now(UTC) + context.settings.rescue_after
    chain.resume(row.id, at=link, expires_at=expires_at)
