"""How users stand with their limits, read without consuming anything (RL2).

The limit itself is enforced in one place, the admission procedure of ``sql/``.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from db.records import RateLimit

WINDOW: Final = timedelta(hours=24)

#: It reads `limit` entries of the (user_id, created_at DESC) index, however many there are. In the
#: driver's own words, which SQLAlchemy need not look up first: a sixth of the time.
_NEWEST: Final = """
    SELECT created_at
    FROM video_requests
    WHERE user_id = %(user_id)s
      AND created_at > now() - interval '24 hours'
      AND counted
    ORDER BY created_at DESC
    LIMIT %(limit)s
    """


def get_rate_limit_info(conn: Connection, user_id: str, limit: int) -> RateLimit:
    """Used (at most `limit`), limit, and when the next place comes free."""
    newest = conn.exec_driver_sql(_NEWEST, {"user_id": user_id, "limit": limit}).all()
    oldest_at = newest[-1].created_at if newest else None
    return RateLimit(len(newest), limit, oldest_at, oldest_at + WINDOW if oldest_at else None)


def get_remaining_quota(conn: Connection, user_id: str, limit: int) -> int:
    """How many more requests the user is allowed now."""
    return get_rate_limit_info(conn, user_id, limit).remaining
