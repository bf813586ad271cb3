"""Requests of any age and state, as rows, with what may lie in the storage for them."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, func, insert, select

from db.engine import Database
from db.states import Status
from db.tables import request_remnants, video_events, video_requests


def values(status: Status, created_at: datetime, **changes: Any) -> dict[str, Any]:
    """A row in this state. What is pending has been claimed, unless `changes` say otherwise."""
    has_started = status is not Status.PENDING
    return {
        "id": uuid4(),
        "user_id": "alice",
        "guild_id": "guild",
        "channel_id": "channel",
        "prompt": "A lighthouse in a storm",
        "duration_seconds": 4,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "status": status,
        "created_at": created_at,
        "started_at": created_at if has_started else None,
        "completed_at": created_at if status.has_ended else None,
        "duration_ms": 0 if status.has_ended else None,
        "cost_usd": None,
        "counted": True,
        "billed": True,
        "claim": None if has_started else uuid4(),
        "claimed_at": None if has_started else created_at,
        "due_at": None if status.has_ended else created_at + timedelta(days=10_000),
        "gcs_prefix": None,
        "video_urls": None,
        "deleted_at": None,
        "archived_at": None,
        **changes,
    }


def put(conn: Connection, *rows: dict[str, Any]) -> list[UUID]:
    """Insert rows, each with an event."""
    if rows:
        conn.execute(insert(video_requests), rows)
        told = [{"request_id": row["id"], "event_type": "created"} for row in rows]
        conn.execute(insert(video_events), told)
    return [row["id"] for row in rows]


def now(conn: Connection) -> datetime:
    return conn.execute(select(func.now())).scalar_one()


def put_old(
    database: Database, number: int, *, days: float = 40, status: Status = Status.COMPLETED
) -> list[UUID]:
    """So many requests that are so old, one a second."""
    with database.begin() as conn:
        begin = now(conn) - timedelta(days=days)
        rows = [values(status, begin + timedelta(seconds=n)) for n in range(number)]
        return put(conn, *rows)


def there(conn: Connection) -> set[UUID]:
    return set(conn.execute(select(video_requests.c.id)).scalars())


def ids_in(database: Database) -> set[UUID]:
    with database.begin() as conn:
        return there(conn)


def remnants(conn: Connection) -> list[tuple[Any, ...]]:
    found = conn.execute(select(request_remnants).order_by(request_remnants.c.created_at))
    return [tuple(row) for row in found]
