"""What people are told: pure functions from records to words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from db.records import Request
from db.standing import Limit, MonthlyQuota, Period, RateLimit, Scope, Spending, Standing

WARN_FROM: Final = Decimal("0.8")
"""The part of a limit from which on its user is warned (RL6)."""

_WHOSE: Final = {
    Scope.USER: "Your budget",
    Scope.GUILD: "This server's budget",
    Scope.ALL: "The budget of all servers together",
}
_WHEN: Final = {Period.DAY: "today", Period.MONTH: "this month"}


def refusal(limit: Limit, cost_usd: Decimal | None = None) -> str:
    """Why a request of this price was not taken on, and when to come back (RL3, RL6)."""
    match limit:
        case RateLimit():
            sentence = f"All {_videos(limit.limit)} of the last 24 hours are used."
            if limit.reset_at is None:
                return sentence
            when = _minute(limit.reset_at)
            return f"{sentence} The next one comes free at {when} ({limit.resets_in})."
        case MonthlyQuota():
            if not limit.limit:
                return "Your monthly quota is 0 videos."
            return (
                f"All {_videos(limit.limit)} of this month are used; none is left. "
                f"The next month begins at {_minute(limit.reset_at)}."
            )
        case Spending():
            price = "" if cost_usd is None else f", this video costs {dollars(cost_usd)}"
            return (
                f"{_whose_and_when(limit)} is used up: {dollars(limit.spent_usd)} spent, "
                f"{dollars(limit.remaining_usd)} left{price}; "
                f"the next {limit.period} begins at {_minute(limit.reset_at)}."
            )


def warnings(standing: Standing) -> list[str]:
    """A sentence for everything of which four fifths or more are used (RL6)."""
    return list(_warnings(standing))


def _warnings(standing: Standing) -> Iterator[str]:
    for limit, window in (
        (standing.daily, "of the last 24 hours"),
        (standing.monthly, "of this month"),
    ):
        if _is_nearly_used(limit.used, limit.limit):
            left = "none is left" if not limit.remaining else f"{limit.remaining} left"
            yield f"{limit.used} of {_videos(limit.limit)} {window} are used; {left}."
    for each in standing.budgets:
        if _is_nearly_used(each.spent_usd, each.limit_usd):
            how_far = "nearly used" if each.remaining_usd else "used up"
            yield (
                f"{_whose_and_when(each)} is {how_far}: {dollars(each.spent_usd)} spent, "
                f"{dollars(each.remaining_usd)} left."
            )


def _is_nearly_used(used: int | Decimal, limit: int | Decimal) -> bool:
    return used >= limit * WARN_FROM


def _whose_and_when(spending: Spending) -> str:
    whose, when = _WHOSE[spending.scope], _WHEN[spending.period]
    return f"{whose} of {dollars(spending.limit_usd)} for {when}"


def _videos(number: int) -> str:
    return f"{number} {'video' if number == 1 else 'videos'}"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def dollars(amount: Decimal) -> str:
    """``$1,234.50``; fractions of a cent only where there are some."""
    exact = f"{amount:,.4f}"
    return f"${exact.removesuffix('00')}"


def parameters(request: Request) -> str:
    """``4 s · 16:9 · 720p · audio on``."""
    audio = "on" if request.generate_audio else "off"
    return (
        f"{request.duration_seconds} s · {request.aspect_ratio} · {request.resolution} · "
        f"audio {audio}"
    )


def since(start: datetime, moment: datetime) -> str:
    """Time between two moments: ``+3.2 s``."""
    return f"+{(moment - start).total_seconds():.1f} s"


def file_size(size: int) -> str:
    """``812 KB`` or ``3.4 MB``."""
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(size // 1000, 1)} KB"


def seconds(milliseconds: float | None) -> str:
    """``42.3 s``; nothing where there is nothing to tell."""
    return "" if milliseconds is None else f"{milliseconds / 1000:,.1f} s"
