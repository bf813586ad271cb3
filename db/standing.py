"""How users stand with limits and budgets, and what admission answers: frozen records."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How a user stands in the rolling 24 hours (RL2).

    `used` counts the requests in the window. `oldest_at` is the one whose leaving frees the
    next place, and `reset_at` the moment it does; both are None while nothing is used.
    """

    used: int
    limit: int
    oldest_at: datetime | None
    reset_at: datetime | None

    @property
    def remaining(self) -> int:
        """How many more requests are allowed now."""
        return max(self.limit - self.used, 0)

    @property
    def wait_seconds(self) -> float:
        """Seconds until another request is allowed; 0 when one is allowed now."""
        if self.remaining or self.reset_at is None:
            return 0.0
        return max((self.reset_at - datetime.now(UTC)).total_seconds(), 0.0)

    @property
    def resets_in(self) -> str:
        """``resets in 2h 15m``; rounded up, so that coming back then is not too early."""
        if self.reset_at is None:
            return "nothing to reset"
        seconds = max((self.reset_at - datetime.now(UTC)).total_seconds(), 0.0)
        hours, minutes = divmod(-int(-seconds // 60), 60)
        return f"resets in {hours}h {minutes}m" if hours else f"resets in {minutes}m"


@dataclass(frozen=True, slots=True)
class MonthlyQuota:
    """How a user stands in the calendar month, in UTC (RL6).

    `used` counts the requests of the month, at most `limit`. `reset_at` is the first of the next.
    """

    used: int
    limit: int
    reset_at: datetime

    @property
    def remaining(self) -> int:
        """How many more requests are allowed this month."""
        return max(self.limit - self.used, 0)


class Scope(StrEnum):
    """Whose money a budget bounds."""

    USER = "user"
    GUILD = "guild"
    ALL = "all"


class Period(StrEnum):
    """For how long a budget has to last, in UTC."""

    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may be spent, in dollars.

    `scope_id` is the user's or the guild's; ``*`` stands for each that has no budget of its own,
    and for all it is empty.
    """

    scope: Scope
    scope_id: str
    period: Period
    limit_usd: Decimal


@dataclass(frozen=True, slots=True)
class Spending:
    """What is spent of a budget, in dollars, in the day or month that ends at `reset_at`."""

    scope: Scope
    period: Period
    spent_usd: Decimal
    limit_usd: Decimal
    reset_at: datetime

    @property
    def remaining_usd(self) -> Decimal:
        """Dollars that are left."""
        return max(self.limit_usd - self.spent_usd, Decimal(0))


Limit = RateLimit | MonthlyQuota | Spending
"""Anything that can refuse a request."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a user stands with everything that a request counts against."""

    daily: RateLimit
    monthly: MonthlyQuota
    #: The user's, the guild's and everybody's, as far as they are set.
    budgets: Sequence[Spending]

    def refusing(self, cost_usd: Decimal) -> Limit | None:
        """What would refuse a request of this price now, in the order of admission."""
        if not self.daily.remaining:
            return self.daily
        if not self.monthly.remaining:
            return self.monthly
        # What costs nothing needs no budget.
        over = [each for each in self.budgets if each.remaining_usd < cost_usd]
        return over[0] if over else None


@dataclass(frozen=True, slots=True)
class UserQuota:
    """What an administrator allows one user; None where it is what everybody is allowed."""

    user_id: str
    daily_limit: int | None
    monthly_limit: int | None


class Outcome(StrEnum):
    """How an admission ended."""

    ADMITTED = "admitted"
    EXISTS = "exists"
    REFUSED = "refused"
    #: Its user was forgotten after it was asked for, or it is older than what is kept.
    FORGOTTEN = "forgotten"


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to one request to be admitted (RL2): how it ended, and how the user stands now.

    `limit` is None where no limit was looked at: the id existed, or the request is not wanted any
    more. `refused_by` is what refused; where that was the rolling 24 hours, it is `limit`.
    """

    outcome: Outcome
    limit: RateLimit | None
    refused_by: Limit | None = None

    @property
    def is_allowed(self) -> bool:
        """Whether there is a row to go on with."""
        return self.outcome in (Outcome.ADMITTED, Outcome.EXISTS)
