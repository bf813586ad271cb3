"""Whose turn it is to be started: so many calls in any minute, and in an order fair to all.

A turn is a row of ``start_turns`` from the moment it is given. It counts until a minute after
`reaches_by`, by when its call has reached the provider. Turns are given under a lock and only
while fewer than the limit count; time, taking a turn and an answer of the provider never make one
count for longer, and only what can no longer be taken is withdrawn. So at no moment do more count
than the limit; and at the end of any minute every call that was made in it counts.

A function takes the caller's connection; the caller owns the transaction. Every time is the
database's clock, or `moment` where it is given.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, Uuid, bindparam, func, text, update
from sqlalchemy.dialects.postgresql import ARRAY

from db.leases import IN_LINE
from db.states import Status
from db.tables import start_turns, video_requests
from db.transitions import guarded_status

IN_HAND: Final = 50
"""Turns that are given and not taken, at most. Were there more of them than workers can take, those
would lapse and be given again, with a message each, for ever."""
FARTHEST: Final = 1000
"""Requests that :func:`places` counts before one, and no more."""

c = video_requests.c
t = start_turns.c


def line_up(conn: Connection, request_id: UUID) -> None:
    """Have the request wait for its turn, where it is due and nobody has begun to start it."""
    conn.execute(
        update(video_requests)
        .where(
            c.id == request_id,
            guarded_status == Status.PENDING,
            c.claim.is_(None),
            c.deleted_at.is_(None),
            c.due_at <= func.now(),
        )
        .values(due_at=IN_LINE)
    )


def give(
    conn: Connection,
    *,
    limit: int,
    valid: timedelta,
    lead: timedelta,
    moment: datetime | None = None,
) -> list[UUID]:
    """Give turns to those who wait the longest, as far as `limit` and IN_HAND go; in their order.

    A turn has to be taken (:func:`take`) within `valid`, or else is withdrawn, and the request
    waits on in its old place. From there to the call it takes `lead` at most. Wants a transaction
    of its caller's.
    """
    # Each in a statement of its own: the next one's snapshot is taken when the lock is held, and
    # when whoever takes one of these turns in this moment has done so.
    conn.execute(_LOCK)
    conn.execute(_WITHDRAW, {"moment": moment})
    counting, in_hand = conn.execute(_COUNT, {"moment": moment}).one()
    room = min(limit - counting, IN_HAND - in_hand)
    if room <= 0:
        return []
    values = {"moment": moment, "room": room, "valid": valid, "lead": lead}
    given = sorted(conn.execute(_GIVE, values), key=lambda row: (row.fair_at, row.id))
    return [row.id for row in given]


_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('give turns', 0))")

_WITHDRAW: Final = text(
    """
    DELETE FROM start_turns
    WHERE reaches_by <= coalesce(CAST(:moment AS timestamptz), now()) - interval '1 minute'
      OR valid_until <= coalesce(CAST(:moment AS timestamptz), now())
    """
).execution_options(query="withdraw_turns")

_COUNT: Final = text(
    """
    SELECT count(*), count(valid_until)
    FROM start_turns
    WHERE reaches_by > coalesce(CAST(:moment AS timestamptz), now()) - interval '1 minute'
    """
).execution_options(query="count_turns")

#: Those who back off are passed by until they are due, and have kept their place then.
_GIVE: Final = text(
    """
    WITH next AS (
      SELECT id, coalesce(CAST(:moment AS timestamptz), now()) + :valid AS valid_until
      FROM video_requests
      WHERE status = 'pending'
        AND claim IS NULL
        AND (due_at = 'infinity' OR due_at <= coalesce(CAST(:moment AS timestamptz), now()))
      ORDER BY fair_at
      LIMIT :room
      FOR UPDATE SKIP LOCKED
    ), given AS (
      INSERT INTO start_turns (request_id, valid_until, reaches_by)
      SELECT id, valid_until, valid_until + :lead
      FROM next
    )
    UPDATE video_requests AS request
    SET due_at = next.valid_until
    FROM next
    WHERE request.id = next.id
    RETURNING request.id, request.fair_at
    """
).execution_options(query="give_turns")


def take(
    conn: Connection, request_id: UUID, *, lead: timedelta, moment: datetime | None = None
) -> bool:
    """Whether it is the request's turn; it is taken then, and the call made within `lead`."""
    now = func.coalesce(moment, func.now())
    taken = (
        update(start_turns)
        .where(t.request_id == request_id, t.valid_until > now)
        .values(valid_until=None, reaches_by=now + lead)
        .returning(t.request_id)
    )
    return conn.execute(taken).first() is not None


def answered(conn: Connection, request_id: UUID, *, moment: datetime | None = None) -> None:
    """The provider has answered the request's call, so that it has reached it by now."""
    now = func.coalesce(moment, func.now())
    conn.execute(
        update(start_turns)
        .where(t.request_id == request_id, t.valid_until.is_(None), t.reaches_by > now)
        .values(reaches_by=now)
    )


def place(conn: Connection, request_id: UUID) -> int | None:
    """The request's place among those that wait; see :func:`places`."""
    return places(conn, [request_id]).get(request_id)


def places(conn: Connection, request_ids: Collection[UUID]) -> Mapping[UUID, int]:
    """Those of the requests that stand in line, each with its place: 1 is the next.

    What is behind more than FARTHEST others has the place after that.
    """
    values = {"ids": list(request_ids), "farthest": FARTHEST}
    return {row.id: row.place for row in conn.execute(_PLACES, values)}


_PLACES: Final = (
    text(
        """
        SELECT
          mine.id,
          1 + (
            SELECT count(*)
            FROM (
              SELECT
              FROM video_requests AS other
              WHERE other.status = 'pending'
                AND other.claim IS NULL
                AND other.fair_at < mine.fair_at
              LIMIT :farthest
            ) AS ahead
          ) AS place
        FROM video_requests AS mine
        WHERE mine.id = ANY(:ids)
          AND mine.status || '' = 'pending'
          AND mine.claim IS NULL
          AND mine.due_at = 'infinity'
        """
    )
    .bindparams(bindparam("ids", type_=ARRAY(Uuid)))
    .execution_options(query="places")
)
