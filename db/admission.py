"""Admission: the one way a request comes into being (RT1, RT6, RL1, RL6).

The limits and budgets are enforced by the procedure of ``sql/``; this is its caller.
"""

from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from psycopg2.extras import Json
from sqlalchemy import Connection, Row

from db.records import NewRequest
from db.standing import Admission, Limit, MonthlyQuota, Outcome, Period, RateLimit, Scope, Spending

log = structlog.get_logger(__name__)

PROMPT_EXCERPT: Final = 50
"""Characters of a prompt that a log may show, and never more (LG1)."""

#: In the driver's own words: there is nothing in it that SQLAlchemy could compile, and letting it
#: look for that costs a twentieth of the admission.
_ADMIT: Final = """
    CALL admit_unless_forgotten(
      %(request)s,
      %(asked_at)s,
      %(daily_limit)s,
      %(monthly_quota)s,
      %(lease)s,
      %(spacing)s
    )
    """


def admit(
    conn: Connection,
    new: NewRequest,
    *,
    daily_limit: int,
    monthly_quota: int,
    lease: timedelta,
    spacing: timedelta | None = None,
    asked_at: datetime | None = None,
) -> Admission:
    """Create the row of `new` with its event, unless a limit or a budget is reached (RL1, RL6).

    An id that is known is answered before any limit, and the existing request stands (RT6). The
    two limits are those of users for whom none is set. `lease` is how long the one who admits
    has, before the sweeper takes the request up; `spacing` how far apart the turns of one user's
    requests are, where starts are paced. Of somebody who was forgotten since `asked_at` nothing is
    written. Wants a connection in autocommit, for the procedure takes its locks and its snapshot
    one after the other.
    """
    values = {
        "request": Json(new.as_row()),
        "asked_at": asked_at,
        "daily_limit": daily_limit,
        "monthly_quota": monthly_quota,
        "lease": lease,
        "spacing": spacing,
    }
    answer = conn.exec_driver_sql(_ADMIT, values).one()
    outcome = Outcome(answer.outcome)
    if outcome is Outcome.EXISTS:
        log.warning("request_exists", request_id=str(new.id), user_id=new.user_id)
        return Admission(outcome, None)
    if outcome is Outcome.FORGOTTEN:
        log_dropped(new, "its user was forgotten")
        return Admission(outcome, None)
    limit = RateLimit(answer.used, answer.allowed, answer.oldest_at, answer.reset_at)
    if outcome is Outcome.REFUSED:
        refused_by = _refusing(answer, limit)
        _log_refusal(new, refused_by)
        return Admission(outcome, limit, refused_by)
    log_created(new)
    return Admission(outcome, limit)


def log_created(new: NewRequest) -> None:
    """LG1's line about a request that has a row from now on."""
    log.info(
        "request_created",
        request_id=str(new.id),
        user_id=new.user_id,
        guild_id=new.guild_id,
        prompt_length=len(new.prompt),
        prompt=new.prompt[:PROMPT_EXCERPT],
        parameters=new.parameters(),
    )


def log_dropped(new: NewRequest, reason: str) -> None:
    """The line about a request that nothing is kept of."""
    log.info("request_dropped", request_id=str(new.id), reason=reason)


def _refusing(answer: Row[Any], daily: RateLimit) -> Limit:
    """What refused, out of the procedure's answer."""
    match answer.refused_by.split():
        case ["daily"]:
            return daily
        case ["monthly"]:
            used, limit = int(answer.refused_used), int(answer.refused_limit)
            return MonthlyQuota(used, limit, answer.refused_until)
        case [scope, period]:
            return Spending(
                Scope(scope),
                Period(period),
                answer.refused_used,
                answer.refused_limit,
                answer.refused_until,
            )
    raise ValueError(answer.refused_by)


def _log_refusal(new: NewRequest, limit: Limit) -> None:
    """RL3's warning."""
    match limit:
        case RateLimit():
            log.warning(
                "rate_limit_reached",
                user_id=new.user_id,
                count=limit.used,
                oldest_request=limit.oldest_at,
                reset_at=limit.reset_at,
            )
        case MonthlyQuota():
            log.warning(
                "monthly_quota_reached",
                user_id=new.user_id,
                count=limit.used,
                limit=limit.limit,
                reset_at=limit.reset_at,
            )
        case Spending():
            log.warning(
                "budget_reached",
                user_id=new.user_id,
                guild_id=new.guild_id,
                budget=f"{limit.scope} {limit.period}",
                spent_usd=limit.spent_usd,
                limit_usd=limit.limit_usd,
                cost_usd=new.cost_usd,
                reset_at=limit.reset_at,
            )
