"""What this process has parked of late, for when Postgres goes and cannot be asked about it (DG2).

Whatever is due only later nobody else can have taken up when Postgres goes, and nobody can then.
"""

import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from db.records import ReplyTo, Request

MOST: Final = 20_000
"""Requests, of about a kilobyte each."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A request as it was when it was parked, and where its answer goes."""

    request: Request
    reply_to: ReplyTo | None
    #: By this process's own clock, and never later than the row says.
    due_at: float = field(repr=False)


_parked: dict[UUID, Parked] = {}


def keep(request: Request, reply_to: ReplyTo | None, *, due_in: timedelta, since: float) -> None:
    """Remember a request that is due so long after `since`, a moment before it was parked."""
    if len(_parked) < MOST:
        _parked[request.id] = Parked(request, reply_to, since + due_in.total_seconds())


def prune() -> None:
    """Forget those whose time has come: whoever takes them up has them."""
    now = time.monotonic()
    for request_id in [each.request.id for each in _parked.values() if each.due_at <= now]:
        del _parked[request_id]


def take() -> list[Parked]:
    """All whose time has not come; they are forgotten here."""
    prune()
    found = [*_parked.values()]
    _parked.clear()
    return found
