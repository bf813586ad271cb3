"""What people are told: pure functions from records to words."""

from collections.abc import Iterator, Sequence
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

NO_SUCH_VIDEO: Final = "There is no such video, or it was deleted."
UNAVAILABLE: Final = "I cannot look that up right now. Please try again in a minute."
BROKEN: Final = "Something went wrong here, and it was noted. Please try again."
NOT_TAKEN_ON: Final = (
    "I could not hand your video over to be made, so it was not taken on, and nothing was counted. "
    "Please try again in a few minutes. (Should it have got through all the same, it appears here.)"
)
QUEUED_BLINDLY: Final = (
    "Your video goes into the queue. I cannot look at your limits right now: they are looked at "
    "before it is made, which may take a little longer than usual."
)
CEILING_REACHED: Final = (
    "Your video was not taken on: I cannot look at your limits right now, and as many of your "
    "requests as a day allows wait already. Please try again later."
)

NO_ID: Final = (
    "That is no video's id: it looks like the one at the end of each entry of `/history`."
)
ONLY_IN_SERVERS: Final = "This is for servers: please use it in one."
ONLY_ADMINISTRATORS: Final = "This is for the administrators of this server."
ONLY_THE_OWNER: Final = "This is for the owner of this bot."
SAY_WHICH_LIMIT: Final = "Please give `daily`, `monthly` or both."
EXPORTED: Final = "Everything that is kept of you:"
FORGET_ALL: Final = (
    "This deletes all your requests, what happened to them, and your videos; it cannot be undone. "
    "Only when you asked, in which server and at what price stays until no limit counts it any "
    "more. What stands in channels stays there. Shall I?"
)
KEPT: Final = "Nothing was deleted."
NOT_YOURS: Final = "Only the one who asked for it, or a moderator, may do that."
ARCHIVED: Final = "It is archived: `/history archived:True` lists it."
RESTORED: Final = "It is in your list again."
MESSAGE_STAYS: Final = "The message with it is still there: I am not allowed to remove it."

_DELETED: Final = {
    "never": "It was not started yet, and never will be.",
    "going": "It is being made, and its end will not be shown.",
    "ended": "It still counts for your limits.",
}


def forgotten(requests: int, being_made: int) -> str:
    """What has become of everything that somebody asked for."""
    if not requests:
        return "There was nothing of yours."
    later = f" {being_made} still being made will go when it ends." if being_made else ""
    return f"It is done: {requests} of your requests are deleted.{later}"


def deleted(stage: str) -> str:
    """What becomes of a request that was ``never`` started, is ``going`` or has ``ended``."""
    return f"It is deleted. {_DELETED[stage]}"


def queued(standing: Standing, cost_usd: Decimal) -> str:
    """What a request that is about to be sent will cost of its user's quota."""
    left, limit = standing.daily.remaining - 1, standing.daily.limit
    price = "it costs nothing" if not cost_usd else dollars(cost_usd)
    sentence = f"Your video goes into the queue: {left} of {limit} left today after this one"
    monthly = standing.monthly
    if _is_nearly_used(monthly.used + 1, monthly.limit):
        sentence += f", {monthly.remaining - 1} of {monthly.limit} this month"
    return f"{sentence}; {price}."


def blocked(word: str) -> str:
    """Why a prompt is not taken."""
    return f"The prompt must not contain ||{word}||. Please find other words."


def wrong_channel(allowed: Sequence[int]) -> str:
    """Where videos are made instead."""
    named = [f"<#{each}>" for each in allowed]
    return f"Videos are made in {listed(named)}, not here."


def listed(named: Sequence[str]) -> str:
    """``a, b or c``."""
    return " or ".join(filter(None, (", ".join(named[:-1]), named[-1])))


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
