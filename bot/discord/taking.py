"""From what a person typed to a request on its way: checked, counted, told, sent (RT1, DC1)."""

import time
from datetime import UTC, datetime
from typing import Final, cast
from uuid import UUID, uuid5

import structlog

from bot.discord import sentences
from bot.discord.answering import FAILURES, tell
from bot.discord.desk import Declined, Desk, Unavailable
from bot.discord.held import Asking
from bot.discord.library import Asked, nextcord
from db.records import NewRequest
from db.validation import InvalidRequest, validate
from workers.chain import ReplyTo

log = structlog.get_logger(__name__)

_INTERACTIONS: Final = UUID("6a1c2d0e-6f0b-5f4c-9a53-2a7b3b6f1d57")

OUTSIDE: Final = "dm"
"""In place of a server's id in a conversation with the bot (RT1)."""


def request_id(asked: Asked) -> UUID:
    """The id of what this interaction asks for: heard twice, it is one request (RT6)."""
    return uuid5(_INTERACTIONS, str(asked.id))


def user_of(asked: Asked) -> str:
    """Who did it."""
    return str(cast("nextcord.abc.User", asked.user).id)


def guild_of(asked: Asked) -> str:
    """Where it was done."""
    return OUTSIDE if asked.guild_id is None else str(asked.guild_id)


def check(desk: Desk, asked: Asked, new: NewRequest) -> None:
    """Raise Declined where the request is wrong in itself. Asks nobody, and takes no time."""
    allowed = desk.settings.bot.allowed_channels
    # A thread is where its channel is.
    here = {asked.channel_id, getattr(asked.channel, "parent_id", None)}
    if allowed and not here & allowed:
        raise Declined(sentences.wrong_channel(sorted(allowed)))
    try:
        validate(new)
        desk.provider.check(new)
    except InvalidRequest as error:
        raise Declined(str(error)) from None
    # What is not to be seen is quoted in the channel all the same.
    if found := desk.blocked_word(f"{new.prompt}\n{new.negative_prompt or ''}"):
        log.warning("prompt_blocked", user_id=new.user_id, guild_id=new.guild_id)
        raise Declined(sentences.blocked(found))


async def take_on(desk: Desk, asked: Asked, new: NewRequest) -> None:
    """Send a request that was checked on its way, its answer promised. Raises Declined.

    Once it is sent, the answer belongs to the worker, so everything is told before.
    """
    # All that follows takes its time, and its user may be forgotten meanwhile.
    asked_at, began = datetime.now(UTC), time.monotonic()
    reply_to = ReplyTo(str(asked.application_id), asked.token)
    try:
        asking = await desk.take_up(new, reply_to, asked_at=began)
    except Unavailable as error:
        if desk.settings.worker.database_outage == "refuse":
            log.warning("request_declined", user_id=new.user_id, reason=str(error))
            raise Declined(sentences.OUTAGE) from None
        desk.count_here(new, str(error))
        asking = Asking(new, reply_to, sentences.QUEUED_BLINDLY, began)
        log.warning("request_not_kept", request_id=str(new.id), reason=str(error))
        desk.held.unkept.append(asking)
    desk.in_hand.add(new.id)
    try:
        await _hand_over(desk, asked, asking, asked_at)
    finally:
        desk.in_hand.discard(new.id)


async def _hand_over(desk: Desk, asked: Asked, asking: Asking, asked_at: datetime) -> None:
    """Tell what it comes to, and send it. Raises Declined."""
    new = asking.new
    try:
        await tell(asked, asking.told)
    except FAILURES as error:
        # Whoever asked reads less, and gets the video all the same.
        log.warning("answer_lost", interaction=asked.id, error=type(error).__name__)
    try:
        await desk.publish(new, asking.reply_to, asked_at=asked_at)
    except Unavailable as error:
        log.warning("request_not_published", request_id=str(new.id), reason=str(error))
        # What was not confirmed may have got through, and has perhaps been answered by now.
        if not await desk.is_taken_on(new.id):
            await desk.forget_asking(new.id)
            raise Declined(sentences.NOT_TAKEN_ON) from None
    log.info("request_published", request_id=str(new.id), user_id=new.user_id)
