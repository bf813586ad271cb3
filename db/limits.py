"""How users stand with their limits, read without consuming anything (RL2).

The limit itself is enforced in one place, the admission procedure of ``sql/``.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection, Integer, bindparam, func, select, text

from db.records import RateLimit
from db.tables import video_requests

WINDOW: Final = timedelta(hours=24)
#: For Postgres: a timedelta would arrive as one day, which has 23 hours when the clocks change.
_WINDOW: Final = text("interval '24 hours'")

c = video_requests.c


#: It reads `limit` entries of the (user_id, created_at DESC) index, however many there are.
_NEWEST: Final = (
    select(c.created_at)
    .where(c.user_id == bindparam("user_id"), c.created_at > func.now() - _WINDOW, c.counted)
    .order_by(c.created_at.desc())
    .limit(bindparam("limit", type_=Integer))
)


def get_rate_limit_info(conn: Connection, user_id: str, limit: int) -> RateLimit:
    """Used (at most `limit`), limit, and when the next place comes free."""
    newest = conn.execute(_NEWEST, {"user_id": user_id, "limit": limit}).all()
    oldest_at = newest[-1].created_at if newest else None
    return RateLimit(len(newest), limit, oldest_at, oldest_at + WINDOW if oldest_at else None)


def get_remaining_quota(conn: Connection, user_id: str, limit: int) -> int:
    """How many more requests the user is allowed now."""
    return get_rate_limit_info(conn, user_id, limit).remaining
