"""Budgets: how much may be spent by a user, in a guild or in all, in a day or a month (RL7).

They are enforced in one place, the admission procedure of ``sql/``. Amounts are dollars.
"""

from decimal import Decimal
from typing import Final

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert

from db.standing import Budget, Period, Scope
from db.tables import budget_spending, budgets

EVERY: Final = "*"
"""In place of an id: each user or guild that has no budget of its own."""

c = budgets.c

#: Admissions hold it shared. In a statement of its own: what follows sees all that they wrote.
_WAIT_FOR_ADMISSIONS: Final = text(
    "SELECT pg_advisory_xact_lock(hashtextextended('set budgets', 0))"
)
_SPENT: Final = text(
    """
    SELECT coalesce(
      (
        SELECT spent_usd
        FROM budget_spending
        WHERE scope = :scope
          AND scope_id = :scope_id
          AND period = :period
          AND period_start = video_period_start(:period, now())
      ),
      video_spending(:scope, :scope_id, :period, video_period_start(:period, now()))
    )
    """
)


def set_limit(conn: Connection, budget: Budget) -> None:
    """Set a budget, or change it. Admissions wait until the caller's transaction ends.

    What was spent before counts, and what is spent already stands.
    """
    conn.execute(_WAIT_FOR_ADMISSIONS)
    _forget_counters(conn, budget.scope, budget.period)
    given = insert(budgets).values(
        scope=budget.scope,
        scope_id=budget.scope_id,
        period=budget.period,
        limit_usd=budget.limit_usd,
    )
    conn.execute(
        given.on_conflict_do_update(
            index_elements=[c.scope, c.scope_id, c.period],
            set_={c.limit_usd: given.excluded.limit_usd, c.updated_at: func.now()},
        )
    )


def remove(conn: Connection, scope: Scope, scope_id: str, period: Period) -> bool:
    """Bound it no longer; whether there was such a budget."""
    conn.execute(_WAIT_FOR_ADMISSIONS)
    _forget_counters(conn, scope, period)
    removed = delete(budgets).where(c.scope == scope, c.scope_id == scope_id, c.period == period)
    return bool(conn.execute(removed).rowcount)


def of_all(conn: Connection) -> list[tuple[Budget, Decimal | None]]:
    """Every budget, with what is spent of it now; None for those that stand for many."""
    rows = conn.execute(
        select(c.scope, c.scope_id, c.period, c.limit_usd).order_by(
            c.scope.desc(), c.scope_id, c.period
        )
    ).all()
    found = [
        Budget(Scope(scope), name, Period(period), limit) for scope, name, period, limit in rows
    ]
    return [(budget, _spent(conn, budget)) for budget in found]


def _spent(conn: Connection, budget: Budget) -> Decimal | None:
    if budget.scope_id == EVERY:
        return None
    values = {"scope": budget.scope, "scope_id": budget.scope_id, "period": budget.period}
    return Decimal(conn.execute(_SPENT, values).scalar_one())


def _forget_counters(conn: Connection, scope: Scope, period: Period) -> None:
    """Have what is spent summed anew, for nobody counts while there is no budget.

    Of all users or guilds: which of them a budget for each is about, is not to be told here.
    """
    conn.execute(
        delete(budget_spending).where(
            budget_spending.c.scope == scope, budget_spending.c.period == period
        )
    )
