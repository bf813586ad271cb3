"""Waiting for one's turn, where the provider takes only so many calls a minute (DESIGN, 6).

Turns are given by whoever sweeps, and by whoever finds that it is not a request's turn: it may be
the only one. A turn travels as a message that expires with it.
"""

from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from db import leases, pacing, progress
from db.errors import DatabaseError
from db.records import Request
from db.states import Status
from workers import chain
from workers.context import Context
from workers.progress import EVERY, is_waited_for, tell_places

SPACING: Final = timedelta(seconds=60)
"""What each request that a user has waiting puts the next one back by, behind those of others."""
CALL_WITHIN: Final = timedelta(seconds=20)
"""From taking a turn to the beginning of the call; whoever is later makes none."""
IN_FRONT: Final = 50
"""Those next in line who are told their places as they move up."""


def are_paced(context: Context) -> bool:
    """Whether a request has to wait for its turn."""
    return context.provider.starts_per_minute is not None


def lead(context: Context) -> timedelta:
    """From taking a turn to the last moment at which its call may reach the provider."""
    return CALL_WITHIN + context.provider.call_time


def give(context: Context) -> list[UUID]:
    """Start those whose turn it is, if starts are paced; the requests."""
    limit = context.provider.starts_per_minute
    if limit is None:
        return []
    valid = context.settings.rescue_after
    # Before the turns are given: no message outlives its turn.
    expires_at = datetime.now(UTC) + valid
    with context.database.begin() as conn:
        given = pacing.give(conn, limit=limit, valid=valid, lead=lead(context))
    for request_id in given:
        chain.call(request_id, expires_at=expires_at)
    return given


def claim(context: Context, request_id: UUID, claim: UUID) -> Request | None:
    """The request, if the right to its call could be had; where starts are paced, in its turn."""
    lease = context.provider.call_time + context.settings.rescue_after
    if not are_paced(context):
        with context.database.autocommit() as conn:
            return leases.claim(conn, request_id, claim, lease=lease)
    with context.database.begin() as conn:
        if not pacing.take(conn, request_id, lead=lead(context)):
            return None
        return leases.claim(conn, request_id, claim, lease=lease)


def wait(context: Context, request: Request) -> None:
    """Have a request that cannot be started wait for its turn, and the user see its place.

    That is only where starts are paced, and nobody has begun to start it.
    """
    if not are_paced(context) or request.status is not Status.PENDING or request.claim is not None:
        return
    with context.database.autocommit() as conn:
        pacing.line_up(conn, request.id)
    # Where nobody else waits, it waits for nothing.
    if request.id not in give(context) and is_waited_for(request):
        chain.tell_places([request.id], expires_at=datetime.now(UTC) + EVERY)


def over(context: Context, request_id: UUID) -> None:
    """The provider has answered the request's call: the minute in which it counts begins."""
    if not are_paced(context):
        return
    # Otherwise it counts from the latest moment at which it can have been made.
    with suppress(DatabaseError), context.database.autocommit() as conn:
        pacing.answered(conn, request_id)


def move_up(context: Context) -> None:
    """Have those in front told their new places."""
    with context.database.autocommit() as conn:
        waiting = progress.in_front(conn, first=IN_FRONT, every=EVERY)
    if waiting:
        chain.tell_places(waiting, expires_at=datetime.now(UTC) + EVERY)


def tell(context: Context, request_ids: Collection[UUID]) -> None:
    """Tell those who wait for these requests their places."""
    with context.database.autocommit() as conn:
        places = pacing.places(conn, request_ids)
    tell_places(context, places)
