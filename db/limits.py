"""How users stand with their limits, read without consuming anything (RL2).

The limit itself is enforced in one place, the admission procedure of ``sql/``.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Select, func, select, text

from db.records import RateLimit
from db.tables import video_requests

WINDOW: Final = timedelta(hours=24)
#: For Postgres: a timedelta would arrive as one day, which has 23 hours when the clocks change.
_WINDOW: Final = text("interval '24 hours'")

c = video_requests.c


def rate_check(user_id: str, limit: int) -> Select[int, datetime]:
    """Count and oldest of the user's newest `limit` requests of the rolling 24 hours.

    It reads `limit` entries of the (user_id, created_at DESC) index, however many there are.
    """
    newest = (
        select(c.created_at)
        .where(c.user_id == user_id, c.created_at > func.now() - _WINDOW, c.counted)
        .order_by(c.created_at.desc())
        .limit(limit)
        .subquery("newest")
    )
    return select(
        func.count().label("used"),
        func.min(newest.c.created_at).label("oldest_at"),
    ).select_from(newest)


def get_rate_limit_info(conn: Connection, user_id: str, limit: int) -> RateLimit:
    """Used (at most `limit`), limit, and when the next place comes free."""
    used, oldest_at = conn.execute(rate_check(user_id, limit)).one()
    return RateLimit(used, limit, oldest_at, oldest_at + WINDOW if oldest_at else None)


def get_remaining_quota(conn: Connection, user_id: str, limit: int) -> int:
    """How many more requests the user is allowed now."""
    return get_rate_limit_info(conn, user_id, limit).remaining
