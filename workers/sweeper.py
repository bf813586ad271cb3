"""The sweeper: it brings back what waits, and what was left behind (DESIGN, 3).

Both are the same to it: a row that is due. A request whose follower died is simply due again.
It moves the row on by a lease and sends the rest of its chain, so that there is never more than
one rescue of a row to be carried out. Polls travel in messages that expire with that lease. Starts
and deliveries may lie in a long queue, where they would expire before anybody came to them; of
these another is sent only when what was sent before the row was due has been taken from the queue.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final
from uuid import UUID

from db import deliveries, forgetting, late_results, leases, removal, replies, sent
from db.records import Due, Span
from db.states import Status
from workers import aftermath, chain, queues, turns
from workers.app import DELIVERING, STARTING
from workers.context import Context

AT_ONCE: Final = 1000
"""Rows that one statement takes; and starts that one sweep sends."""
BATCH: Final = 50
"""Requests that one task asks about."""
SUSPECT_AFTER: Final = 3
"""Fruitless attempts after which a request is asked about alone: it may be the one that kills."""
PATIENCE: Final = 5.0
"""Seconds that an answer of Redis about its queues may take."""


def sweep(context: Context) -> None:
    """Send everything that is due on its way. Raises DatabaseUnavailable.

    But not, for a while after an outage, what became due in it (:mod:`workers.aftermath`).
    """
    aftermath.look(context)
    taken_up_to = queues.taken_up_to(patience=PATIENCE)
    left_alone = aftermath.left_alone(context)
    _sweep_requests(context, taken_up_to[STARTING], left_alone)
    _give_turns(context)
    _sweep_deliveries(context, taken_up_to[DELIVERING], left_alone)
    _sweep_late(context, taken_up_to[DELIVERING], left_alone)
    _tidy(context)


def _give_turns(context: Context) -> None:
    """Start those whose turn it is. Where nobody has to wait any more, all who did are due."""
    if turns.are_paced(context):
        turns.give(context)
        turns.move_up(context)
    else:
        with context.database.autocommit() as conn:
            leases.leave_line(conn)


def _sweep_deliveries(context: Context, taken_up_to: datetime, left_alone: Span | None) -> None:
    """Answers that nobody has delivered; and tokens that nobody can deliver with any more."""
    lease = context.settings.rescue_after
    with context.database.autocommit() as conn:
        due = deliveries.take_due(
            conn, limit=AT_ONCE, lease=lease, due_by=taken_up_to, left_alone=left_alone
        )
        replies.forget_expired(conn)
        sent.forget_expired(conn)
    for request_id in due:
        chain.deliver(request_id)


def _sweep_late(context: Context, taken_up_to: datetime, left_alone: Span | None) -> None:
    """Videos that missed their time: those to be looked for, and found ones to be delivered."""
    lease = context.settings.rescue_after
    expires_at = datetime.now(UTC) + lease
    with context.database.autocommit() as conn:
        missing = iter(late_results.take_due(conn, limit=AT_ONCE, lease=lease))
        found = deliveries.take_due(
            conn,
            limit=AT_ONCE,
            lease=lease,
            due_by=taken_up_to,
            left_alone=left_alone,
            record=deliveries.LATE,
        )
    while batch := list(islice(missing, BATCH)):
        chain.look_for_late(batch, expires_at=expires_at)
    for request_id in found:
        chain.deliver_late(request_id)


def _sweep_requests(context: Context, taken_up_to: datetime, left_alone: Span | None) -> None:
    lease = context.settings.rescue_after
    starts = 0
    while True:
        # Before the rows are taken: no message outlives the lease that it belongs to.
        expires_at = datetime.now(UTC) + lease
        with context.database.autocommit() as conn:
            due = leases.take_due(
                conn,
                limit=AT_ONCE,
                lease=lease,
                is_paced=turns.are_paced(context),
                starts_due_by=taken_up_to if starts < AT_ONCE else queues.NOTHING,
                left_alone=left_alone,
            )
        for row in due:
            if _is_to_be_started(row) and not row.is_in_line:
                chain.resume(row.id, at="start_generation")
                starts += 1
        for batch in _batches([row for row in due if not _is_to_be_started(row)]):
            chain.poll_together(batch, expires_at=expires_at)
        if len(due) < AT_ONCE:
            break


def _tidy(context: Context) -> None:
    """Drop what no window counts any more, and have removed what is to be forgotten."""
    expires_at = datetime.now(UTC) + forgetting.LEASE
    with context.database.autocommit() as conn:
        removal.lapse(conn)
        forgotten = iter(forgetting.take(conn, limit=AT_ONCE))
    while batch := list(islice(forgotten, BATCH)):
        chain.remove_forgotten(batch, expires_at=expires_at)


def _is_to_be_started(row: Due) -> bool:
    return row.status is Status.PENDING and not row.is_claimed


def _batches(rows: Sequence[Due]) -> Iterator[list[UUID]]:
    usual = iter([row.id for row in rows if row.attempts < SUSPECT_AFTER])
    while batch := list(islice(usual, BATCH)):
        yield batch
    for row in rows:
        if row.attempts >= SUSPECT_AFTER:
            yield [row.id]
