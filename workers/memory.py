"""What this process has last seen of each request, for when Postgres cannot be asked (DG2).

It is the sweeper's stand-in. What a process writes about a request it keeps, with the time at which
the row is due. If Postgres is away then, nobody else can take the request up, and this process has
it go on (:mod:`workers.lookout`). If Postgres is there, whoever takes it up has it, and it is
forgotten here soon after.

What is kept may be out of date all the same, and another may have the request go on as well. That
does no harm: the marks in the storage let one make the call and one answer, and what is written
afterwards goes through the guards that everything goes through.
"""

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection

from db import replies
from db.records import ReplyTo, Request
from workers.context import Context
from workers.ends import End
from workers.progress import is_waited_for

MOST: Final = 20_000
"""Requests, of about a kilobyte each."""
ON_ITS_WAY: Final = timedelta(seconds=10)
"""How long a message may take, from a row's being due to the task that takes it up: no request is
forgotten sooner, and none that a message was sent for goes on alone before."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it was, where its answer goes, and its end where that is not in the row."""

    request: Request
    reply_to: ReplyTo | None
    end: End | None
    #: By this process's own clock.
    due_at: float


_seen: dict[UUID, Seen] = {}


def keep(
    context: Context,
    request: Request,
    *,
    due_in: timedelta,
    reply_to: ReplyTo | None = None,
    end: End | None = None,
) -> None:
    """Remember a request that is due so long from now, if it is to go on without Postgres at all.

    Where its answer goes stays known when it is kept again.
    """
    if context.settings.database_outage == "refuse":
        return
    if request.deleted_at is not None:
        # Nobody waits for it, nor may it be answered as it was before.
        forget(request.id)
        return
    before = _seen.get(request.id)
    if before is None and len(_seen) >= MOST:
        return
    known = reply_to or (before.reply_to if before else None)
    _seen[request.id] = Seen(request, known, end, time.monotonic() + due_in.total_seconds())


def keep_sent(context: Context, request: Request, reply_to: ReplyTo | None = None) -> None:
    """Remember a request for which a message was sent."""
    due_in = min(ON_ITS_WAY, context.settings.rescue_after)
    keep(context, request, due_in=due_in, reply_to=reply_to)


def forget(request_id: UUID) -> Seen | None:
    """What was kept: somebody else has the request from here on, or nobody needs to."""
    return _seen.pop(request_id, None)


def answers_of(
    context: Context, conn: Connection, requests: Collection[Request]
) -> Mapping[UUID, ReplyTo]:
    """Where the answers to these requests go that is not known here yet."""
    asked = [each.id for each in requests if lacks_answer(context, each)]
    return replies.of(conn, asked) if asked else {}


def lacks_answer(context: Context, request: Request) -> bool:
    """Whether it is worth asking where the answer goes: somebody waits, and it is not known."""
    is_kept = context.settings.database_outage == "proceed"
    return is_kept and is_waited_for(request) and request.id not in _seen


def put_back(seen: Iterable[Seen]) -> None:
    """Nobody could be told to go on with these."""
    _seen.update({each.request.id: each for each in seen})


def prune() -> None:
    """Forget those that were due a while ago. Postgres is there, so they can be taken up."""
    before = time.monotonic() - ON_ITS_WAY.total_seconds()
    for request_id in [key for key, each in _seen.items() if each.due_at < before]:
        del _seen[request_id]


def take(*, most: int) -> list[Seen]:
    """Those that are due, the longest first; they are forgotten here."""
    now = time.monotonic()
    due = sorted(
        (each for each in _seen.values() if each.due_at <= now), key=lambda each: each.due_at
    )[:most]
    for each in due:
        del _seen[each.request.id]
    return due
