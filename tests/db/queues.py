"""Requests that wait for their turn, and the turns they get, at a time that a test moves."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import Connection, text

from db import leases, pacing
from db.engine import Database

MINUTE: Final = timedelta(minutes=1)
VALID: Final = timedelta(seconds=10)
LEAD: Final = timedelta(seconds=15)
CALL: Final = timedelta(minutes=1)
#: Ahead of the database's clock, so that what it has set to now is past.
BEGIN: Final = datetime.now(UTC) + timedelta(days=1)


def ask(
    conn: Connection, *, user: str = "alice", at: datetime, fair_at: datetime | None = None
) -> UUID:
    """A request that is made at that moment, and then waits."""
    request_id = uuid4()
    conn.execute(
        text(
            """
            INSERT INTO video_requests (
              id, user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio,
              resolution, status, created_at, due_at, fair_at
            ) VALUES (
              :id, :user, 'guild', 'channel', 'A prompt', 4, '16:9', '720p', 'pending', :at, :at,
              :fair_at
            )
            """
        ),
        {"id": request_id, "user": user, "at": at, "fair_at": fair_at or at},
    )
    return request_id


def give(database: Database, limit: int, moment: datetime | None = None) -> list[UUID]:
    """Whose turn it is."""
    with database.begin() as conn:
        return pacing.give(conn, limit=limit, valid=VALID, lead=LEAD, moment=moment)


def take(database: Database, request_id: UUID, moment: datetime | None = None) -> UUID | None:
    """The claim, where its turn could be taken."""
    claim = uuid4()
    with database.begin() as conn:
        if not pacing.take(conn, request_id, lead=LEAD, moment=moment):
            return None
        return claim if leases.claim(conn, request_id, claim, lease=CALL) else None


def most_in_a_minute(calls: Sequence[datetime]) -> int:
    """The most calls that any minute holds, its beginning included and its end not."""
    ordered = sorted(calls)
    return max(
        (
            sum(1 for each in ordered[first:] if each < ordered[first] + MINUTE)
            for first in range(len(ordered))
        ),
        default=0,
    )
