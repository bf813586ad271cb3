"""How users stand with their limits and budgets, read without consuming anything (RL2, RL6).

They are enforced in one place, the admission procedure of ``sql/``. The limits that are passed to
these functions are those of users for whom no other is set.
"""

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import Connection, Row, text

from db.standing import MonthlyQuota, Period, RateLimit, Scope, Spending, Standing

#: It reads no more entries of the (user_id, created_at DESC) index than the limits, however many
#: there are. In the driver's own words, for SQLAlchemy's way to them takes half as long as
#: Postgres' answer.
_RATE_LIMIT: Final = """
    SELECT used, daily_limit, oldest_at, oldest_at + interval '24 hours' AS reset_at
    FROM rate_limit_of(%(user_id)s, %(daily_limit)s)
    """
_LIMITS: Final = text(
    """
    SELECT
      daily.used,
      daily.daily_limit,
      daily.oldest_at,
      daily.oldest_at + interval '24 hours' AS reset_at,
      monthly.used AS used_of_month,
      monthly.monthly_limit,
      video_period_end('month', now()) AS month_end
    FROM daily_standing(:user_id, :daily_limit, now()) AS daily
    CROSS JOIN monthly_standing(:user_id, :monthly_quota, now()) AS monthly
    """
)
_BUDGETS: Final = text(
    """
    SELECT
      scope,
      period,
      coalesce(spent_usd, video_spending(scope, scope_id, period, period_start)) AS spent_usd,
      limit_usd,
      video_period_end(period, period_start) AS reset_at
    FROM budgets_of(:user_id, :guild_id, now())
    """
)


def get_rate_limit_info(conn: Connection, user_id: str, limit: int) -> RateLimit:
    """Used (at most the limit), limit, and when the next place comes free."""
    values = {"user_id": user_id, "daily_limit": limit}
    return _rate_limit(conn.exec_driver_sql(_RATE_LIMIT, values).one())


def get_remaining_quota(conn: Connection, user_id: str, limit: int) -> int:
    """How many more requests the user is allowed now."""
    return get_rate_limit_info(conn, user_id, limit).remaining


def get_standing(
    conn: Connection, user_id: str, guild_id: str, *, daily_limit: int, monthly_quota: int
) -> Standing:
    """Everything that a request of the user in the guild would count against now."""
    values = {"user_id": user_id, "daily_limit": daily_limit, "monthly_quota": monthly_quota}
    limits = conn.execute(_LIMITS, values).one()
    budgets = conn.execute(_BUDGETS, {"user_id": user_id, "guild_id": guild_id})
    return Standing(
        _rate_limit(limits),
        MonthlyQuota(limits.used_of_month, limits.monthly_limit, limits.month_end),
        [
            Spending(
                Scope(row.scope),
                Period(row.period),
                Decimal(row.spent_usd),
                row.limit_usd,
                row.reset_at,
            )
            for row in budgets
        ],
    )


def _rate_limit(row: Row[Any]) -> RateLimit:
    return RateLimit(row.used, row.daily_limit, row.oldest_at, row.reset_at)
