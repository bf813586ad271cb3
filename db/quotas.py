"""What administrators allow single users, where it is not what everybody is allowed (RL6)."""

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.dialects.postgresql import insert

from db.standing import UserQuota
from db.tables import user_quotas

c = user_quotas.c


def get(conn: Connection, user_id: str) -> UserQuota | None:
    """What is set for the user; None if nothing is."""
    found = conn.execute(
        select(c.user_id, c.daily_limit, c.monthly_limit).where(c.user_id == user_id)
    ).one_or_none()
    return None if found is None else UserQuota(*found)


def set_limits(
    conn: Connection, user_id: str, *, daily: int | None = None, monthly: int | None = None
) -> UserQuota:
    """Allow the user so many requests in 24 hours, or in a month; what is None stays as it was."""
    given = insert(user_quotas).values(user_id=user_id, daily_limit=daily, monthly_limit=monthly)
    merged = given.on_conflict_do_update(
        index_elements=[c.user_id],
        set_={
            c.daily_limit: func.coalesce(given.excluded.daily_limit, c.daily_limit),
            c.monthly_limit: func.coalesce(given.excluded.monthly_limit, c.monthly_limit),
            c.updated_at: func.now(),
        },
    ).returning(c.user_id, c.daily_limit, c.monthly_limit)
    return UserQuota(*conn.execute(merged).one())


def reset(conn: Connection, user_id: str) -> bool:
    """Allow the user what everybody is allowed; whether anything else was set."""
    return bool(conn.execute(delete(user_quotas).where(c.user_id == user_id)).rowcount)
