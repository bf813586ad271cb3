"""Words that both the worker's answers and the bot's mouths need: pure functions."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from db.pacing import FARTHEST
from db.records import Request
from db.standing import Limit, MonthlyQuota, Period, RateLimit, Scope, Spending

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
            if not limit.limit:
                return "You are allowed 0 videos in 24 hours."
            sentence = f"{_all(limit.limit, 'of the last 24 hours')} used."
            if limit.reset_at is None:
                return sentence
            when = _minute(limit.reset_at)
            return f"{sentence} The next one comes free at {when} ({limit.resets_in})."
        case MonthlyQuota():
            if not limit.limit:
                return "Your monthly quota is 0 videos."
            return (
                f"{_all(limit.limit, 'of this month')} used; none is left. "
                f"The next month begins at {_minute(limit.reset_at)}."
            )
        case Spending():
            price = "" if cost_usd is None else f", this video costs {dollars(cost_usd)}"
            if cost_usd is not None and cost_usd > limit.limit_usd:
                return f"{whose_and_when(limit)} is too small{price}."
            how = "does not reach" if limit.remaining_usd else "is used up"
            return (
                f"{whose_and_when(limit)} {how}: {dollars(limit.spent_usd)} spent, "
                f"{dollars(limit.remaining_usd)} left{price}; "
                f"the next {limit.period} begins at {_minute(limit.reset_at)}."
            )


def dollars(amount: Decimal) -> str:
    """``$1,234.50``; fractions of a cent only where there are some."""
    exact = f"{amount:,.4f}"
    return f"${exact.removesuffix('00')}"


def parameters(request: Request) -> str:
    """``4 s · 16:9 · 720p · audio on``, and model and seed where there is one to speak of."""
    told = [
        f"{request.duration_seconds} s",
        request.aspect_ratio,
        request.resolution,
        f"audio {'on' if request.generate_audio else 'off'}",
    ]
    # The model of a provider that has but one bears the provider's name.
    if request.model not in (None, request.provider):
        told.append(str(request.model))
    if request.seed is not None:
        told.append(f"seed {request.seed}")
    return " · ".join(told)


def figure(time: timedelta) -> str:
    """``5 minutes``, or ``90 seconds`` where it is no whole number of minutes."""
    seconds = round(time.total_seconds())
    number, unit = (seconds // 60, "minute") if seconds % 60 == 0 else (seconds, "second")
    return f"{number} {unit}{'' if number == 1 else 's'}"


def seconds(milliseconds: float | None) -> str:
    """``42.3 s``; nothing where there is nothing to tell."""
    return "" if milliseconds is None else f"{milliseconds / 1000:,.1f} s"


def in_the_queue(place: int) -> str:
    """``number 12 in the queue``; nobody counts how many wait before one who is far back."""
    if place > FARTHEST:
        return f"behind more than {FARTHEST:,} others in the queue"
    return f"number {place:,} in the queue"


def whose_and_when(spending: Spending) -> str:
    """``Your budget of $5.00 for today``."""
    whose, when = _WHOSE[spending.scope], _WHEN[spending.period]
    return f"{whose} of {dollars(spending.limit_usd)} for {when}"


def videos(number: int) -> str:
    """``1 video``, ``2 videos``."""
    return f"{number} {'video' if number == 1 else 'videos'}"


def _all(number: int, window: str) -> str:
    if number == 1:
        return f"The one video {window} is"
    return f"All {videos(number)} {window} are"


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
