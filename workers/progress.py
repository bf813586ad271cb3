"""Honest progress, told by who has a request in hand and finds it waiting (DC2; DESIGN, 8).

That is a poll, or a start that was not taken; and who waits in line is told the place. An edit
that cannot be made is not made: nothing depends on it, and nobody waits for it long. None can come
after the answer: whoever delivers that has closed the answer to progress before, and waits for an
edit that is under way. In an outage and the time after it nobody can know of an answer, so nothing
is told; and what goes on then waits for an edit that this process has given up.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import timedelta
from typing import Final, TypeVarTuple
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db import progress as telling
from db.errors import DatabaseError
from db.records import ReplyTo, Request
from db.validation import is_snowflake
from workers import aftermath, answers, discord, experience
from workers.answers import Message
from workers.context import Context
from workers.discord import DiscordError, NoAnswer, RateLimited, Unavailable

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(seconds=15)
"""Between two edits of one answer that tell of the same state."""
THREADS: Final = 8
PATIENCE: Final = 1.0
"""Seconds for each phase of an edit."""
TELL_FOR: Final = 2.0
"""Seconds after which a batch begins no other edit."""
AT_MOST: Final = timedelta(seconds=6)
"""Within which every edit of a batch has been answered, or given up."""
SILENCE: Final = 30.0
"""Seconds for which a Discord that does not answer is left alone."""

_silent_until = [0.0]
_under_way_until: dict[UUID, float] = {}
"""Of edits that Discord has not answered, by this process's own clock."""

Facts = TypeVarTuple("Facts")
Told = tuple[Request, timedelta]
"""A request, and the time since its start or claim."""


def tell(context: Context, running: Sequence[Told]) -> None:
    """Tell those who wait for these requests how far they are, where it is time to. Never raises.

    For requests that the caller has taken up and found running; one that has ended is not told.
    """
    theirs = {each[0].id: each for each in running if is_waited_for(each[0])}
    _tell(
        context,
        theirs,
        lambda conn, request, age: answers.progress(
            request.status, age, experience.with_such(conn, request)
        ),
    )


def tell_places(context: Context, places: Mapping[UUID, int]) -> None:
    """Tell those who wait for these requests their places in line. Never raises."""
    theirs = {request_id: (place,) for request_id, place in places.items()}
    _tell(context, theirs, lambda _, place: answers.in_line(place))


def under_way(request_id: UUID) -> timedelta:
    """For how long an edit may still be made that this process has given up."""
    left = _under_way_until.get(request_id, 0.0) - time.monotonic()
    return timedelta(seconds=max(left, 0.0))


def _tell(
    context: Context,
    facts: Mapping[UUID, tuple[*Facts]],
    compose: Callable[[Connection, *Facts], Message],
) -> None:
    """Tell of each request what `compose` makes of its facts, where it is time to."""
    if not facts or time.monotonic() < _silent_until[0] or aftermath.is_recent(context):
        return
    # From before Postgres is asked: its lease begins while it answers.
    began = time.monotonic()
    try:
        with context.database.autocommit() as conn:
            wanted = telling.begin_telling(conn, facts.keys(), every=EVERY, at_most=AT_MOST)
            edits = [
                (request_id, compose(conn, *facts[request_id]), reply_to)
                for request_id, reply_to in wanted.items()
            ]
        if edits:
            _edit_all(context, edits, began)
    except DatabaseError as error:
        log.debug("progress_not_told", reason=str(error))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the request goes on
        log.debug("progress_not_told", reason=type(error).__name__)


def _edit_all(
    context: Context, edits: Sequence[tuple[UUID, Message, ReplyTo]], began: float
) -> None:
    until = began + TELL_FOR
    with ThreadPoolExecutor(max_workers=min(THREADS, len(edits))) as threads:
        answered = threads.map(
            lambda edit, here: here.run(_edit, context, *edit, until),
            edits,
            [copy_context() for _ in edits],
        )
        is_over = {edit[0]: each for edit, each in zip(edits, answered, strict=True)}
    _note_under_way([each for each in is_over if not is_over[each]], began)
    over = [each for each in is_over if is_over[each]]
    with context.database.autocommit() as conn:
        telling.end_telling(conn, over)


def _edit(
    context: Context, request_id: UUID, message: Message, reply_to: ReplyTo, until: float
) -> bool:
    """Make one edit; whether it is certain that it will not be made later. Runs in a thread."""
    if time.monotonic() > until:
        return True
    try:
        discord.edit_answer(context.discord, reply_to, message, patience=PATIENCE)
    except DiscordError as error:
        log.debug("progress_not_told", request_id=str(request_id), reason=str(error))
        if isinstance(error, Unavailable) or (isinstance(error, RateLimited) and error.is_global):
            _silent_until[0] = time.monotonic() + SILENCE
        return not isinstance(error, NoAnswer)
    return True


def _note_under_way(request_ids: Sequence[UUID], began: float) -> None:
    now = time.monotonic()
    for past in [each for each, until in _under_way_until.items() if until <= now]:
        del _under_way_until[past]
    _under_way_until.update(dict.fromkeys(request_ids, began + AT_MOST.total_seconds()))


def is_waited_for(request: Request) -> bool:
    """Whether there is somebody in Discord who waits for it."""
    return is_snowflake(request.channel_id) and not (request.deleted_at or request.forgotten_at)
