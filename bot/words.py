"""What people are told: pure functions from records to words."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Final

from db.standing import MonthlyQuota, RateLimit, Standing
from workers.words import (
    dollars,
    in_the_queue,
    parameters,
    refusal,
    seconds,
    videos,
    whose_and_when,
)

__all__ = [
    "dollars",
    "file_size",
    "in_the_queue",
    "parameters",
    "refusal",
    "seconds",
    "since",
    "used",
    "warnings",
]

WARN_FROM: Final = Decimal("0.8")
"""The part of a limit from which on its user is warned (RL6)."""


def warnings(standing: Standing) -> list[str]:
    """A sentence for everything of which four fifths or more are used (RL6)."""
    return list(_warnings(standing))


def _warnings(standing: Standing) -> Iterator[str]:
    for limit, window in (
        (standing.daily, "of the last 24 hours"),
        (standing.monthly, "of this month"),
    ):
        # Of nothing, nothing is used up.
        if limit.limit and _is_nearly_used(limit.used, limit.limit):
            left = "none is left" if not limit.remaining else f"{limit.remaining} left"
            used = min(limit.used, limit.limit)
            verb = "is" if used == 1 else "are"
            yield f"{used} of {videos(limit.limit)} {window} {verb} used; {left}."
    for each in standing.budgets:
        if _is_nearly_used(each.spent_usd, each.limit_usd):
            how_far = "nearly used" if each.remaining_usd else "used up"
            yield (
                f"{whose_and_when(each)} is {how_far}: {dollars(each.spent_usd)} spent, "
                f"{dollars(each.remaining_usd)} left."
            )


def used(limit: RateLimit | MonthlyQuota) -> str:
    """``2 of 5 used, 3 left``. Beyond the limit nobody counts: it may have been higher before."""
    if not limit.limit:
        return "0 allowed"
    return f"{min(limit.used, limit.limit)} of {limit.limit} used, {limit.remaining} left"


def _is_nearly_used(used: int | Decimal, limit: int | Decimal) -> bool:
    return used >= limit * WARN_FROM


def since(start: datetime, moment: datetime) -> str:
    """Time between two moments: ``+3.2 s``."""
    return f"+{(moment - start).total_seconds():.1f} s"


def file_size(size: int) -> str:
    """``812 KB`` or ``3.4 MB``."""
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(size // 1000, 1)} KB"
