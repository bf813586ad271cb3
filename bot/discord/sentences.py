"""What people read on Discord, where it is not what they read everywhere."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from bot import words
from db.standing import Standing

NO_SUCH_VIDEO: Final = "There is no such video, or it was deleted."
UNAVAILABLE: Final = "I cannot look that up right now. Please try again in a minute."
BROKEN: Final = "Something went wrong here, and it was noted. Please try again."
NOT_TAKEN_ON: Final = (
    "I could not hand your video over to be made, so it was not taken on, and nothing was counted. "
    "Please try again in a few minutes. (Should it have got through all the same, it appears here.)"
)
WAITS: Final = (
    "⏳ Your video still waits to be taken on. So far nothing is counted and nothing is spent. "
    "It is made as soon as that works; if nothing has come of it in 15 minutes, please ask again."
)
QUEUED_BLINDLY: Final = (
    "Your video goes into the queue. I cannot look at your limits right now; "
    "it counts for them all the same."
)
OUTAGE: Final = (
    "Your video was not taken on: I cannot look at your limits right now. "
    "Please try again in a few minutes."
)
CEILING_REACHED: Final = (
    "Your video was not taken on: I cannot look at your limits right now, and as many of your "
    "requests as a day allows were taken on meanwhile. Please try again later."
)

NO_LINK: Final = (
    "The video is kept, but no link to it can be made right now. Please try again in a few minutes."
)

NO_ID: Final = (
    "That is no video's id: it looks like the one at the end of each entry of `/history`."
)
ONLY_IN_SERVERS: Final = "This is for servers: please use it in one."
ONLY_ADMINISTRATORS: Final = "This is for the administrators of this server."
LIMITS_HOLD_EVERYWHERE: Final = (
    "A user's limits hold on every server, and this bot is on several: only its owner sets them."
)
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
    price = "it costs nothing" if not cost_usd else words.dollars(cost_usd)
    sentence = f"Your video goes into the queue: {left} of {limit} left today after this one"
    monthly = standing.monthly
    if monthly.used + 1 >= monthly.limit * words.WARN_FROM:
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
