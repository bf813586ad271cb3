"""What was sent and is no row yet: sent again where the queue lost it, told of where it waits.

It is kept in Postgres (:mod:`db.sent`), so that a bot which starts anew goes on with it. The same
id is the same request (RT6), so it is never made twice. Where an answer says something else than
the bot has told, the request was refused, was not taken on, or was answered without Postgres; and
what the marks say is being made without Postgres does not wait any more. Whoever has begun it has
it written; should that be lost with his message, it is sent again, and a worker finds what became
of it.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bot.discord import sentences
from bot.discord.desk import LOOK_AGAIN, Desk, Unavailable
from bot.discord.held import Asking
from db import sent
from db.records import Sent
from workers import discord, progress, queues
from workers.app import DELIVERING, STARTING
from workers.chain import BrokerUnavailable
from workers.discord import DiscordError
from workers.storage import StorageUnavailable

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds."""
TELL_AFTER: Final = timedelta(seconds=45)
"""Whoever is not taken on by then is told so, within the minute."""
AT_ONCE: Final = 100
SIDE_BY_SIDE: Final = 4
"""Requests that are seen to at once: people who ask something need threads, too."""
PATIENCE: Final = 2.0
"""Seconds for each answer of Redis."""


async def look_after(desk: Desk) -> None:
    """Go on for ever."""
    # What goes on without Postgres is written down soon after an outage, as for the sweeper.
    rest = 2 * desk.settings.worker.rescue_after
    quiet_until = time.monotonic()
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            await _look(desk, may_send=time.monotonic() >= quiet_until)
            await _miss(desk)
            await _keep(desk, look_in=rest)
        except Unavailable as error:
            quiet_until = time.monotonic() + rest.total_seconds()
            log.debug("requests_not_looked_after", reason=str(error))
        except Exception:
            # Whatever it is, the next look is not to be missed for it.
            log.exception("requests_not_looked_after")


async def _miss(desk: Desk) -> None:
    """See whether what was kept has gone with a crash of the server. Raises Unavailable."""
    if kept := desk.held.kept:
        desk.held.found(*await desk.ask(lambda conn: sent.missed(conn, kept)))


async def _keep(desk: Desk, *, look_in: timedelta) -> None:
    """Keep what could not be kept when it was sent. Raises Unavailable as long as it cannot."""
    unkept = desk.held.unkept
    for one in [*unkept]:
        if one not in unkept:
            # It was dropped while those before it were kept.
            continue
        unkept.remove(one)
        if one.is_over:
            continue
        try:
            await desk.keep(one, look_in=look_in)
        except Unavailable:
            # Behind the others: should it be this one, they are kept all the same.
            unkept.append(one)
            raise


async def _look(desk: Desk, *, may_send: bool) -> None:
    """See once to all that are due. Raises Unavailable."""
    due = await desk.ask(lambda conn: sent.take(conn, limit=AT_ONCE, lease=LOOK_AGAIN))
    late = [one for one in due if one.new.id not in desk.in_hand]
    if not late:
        return
    now = time.monotonic()
    for each in late:
        asked_at = now - each.age.total_seconds()
        desk.held.note_kept(Asking(each.new, each.reply_to, each.told, asked_at))
    past = await _past(desk) if may_send else queues.NOTHING
    bound = desk.settings.worker.rescue_after
    room = asyncio.Semaphore(SIDE_BY_SIDE)

    async def see_to(one: Sent) -> None:
        async with room:
            await _see_to(desk, one, is_lost=one.sent_at + bound < past)

    await asyncio.gather(*map(see_to, late))


async def _past(desk: Desk) -> datetime:
    """What was sent before has been taken up or was lost. A refusal has been told, too."""
    try:
        taken = await desk.look_up(lambda: queues.taken_up_to(patience=PATIENCE))
    except (Unavailable, BrokerUnavailable) as error:
        log.warning("queues_unknown", reason=str(error))
        return queues.NOTHING
    return min(taken[STARTING], taken[DELIVERING])


async def _see_to(desk: Desk, one: Sent, *, is_lost: bool) -> None:
    is_to_be_told = one.age >= TELL_AFTER and not one.is_told_of
    if not is_lost and not is_to_be_told:
        return
    try:
        if await _is_still_ours(desk, one):
            if is_to_be_told and await _waits(desk, one):
                await _tell(desk, one)
        elif is_lost and not await desk.is_to_be_recovered(one.new.id):
            await desk.forget_asking(one.new.id)
            return
        if is_lost:
            await _send_again(desk, one)
    except (Unavailable, DiscordError, StorageUnavailable) as error:
        log.warning("request_not_seen_to", request_id=str(one.new.id), reason=str(error))


async def _is_still_ours(desk: Desk, one: Sent) -> bool:
    settings = desk.settings.discord
    try:
        says = await desk.look_up(lambda: discord.read_answer(settings, one.reply_to))
    except discord.Rejected:
        # Nobody waits for it any more.
        return False
    # Nothing, where the bot died before it could say anything; and it may be kept by a transaction
    # whose end came too late for whoever asked.
    return says in ("", one.told, sentences.QUEUED_BLINDLY, sentences.WAITS)


async def _waits(desk: Desk, one: Sent) -> bool:
    """Whether it does, as far as can be told.

    Begun without Postgres it does not any more, and may be answered in this moment.
    """
    try:
        return not await desk.is_to_be_recovered(one.new.id)
    except (Unavailable, StorageUnavailable) as error:
        log.warning("waiting_not_told", request_id=str(one.new.id), reason=str(error))
        return False


async def _tell(desk: Desk, one: Sent) -> None:
    """Have the answer say that the request still waits, unless it is a row in this moment."""
    request_id, until = one.new.id, time.monotonic() + progress.TELL_FOR
    message = {"content": sentences.WAITS, "allowed_mentions": {"parse": []}}

    def edit() -> bool:
        if time.monotonic() > until:
            return False
        discord.edit_answer(
            desk.settings.discord, one.reply_to, message, patience=progress.PATIENCE
        )
        return True

    at_most = progress.AT_MOST
    if not await desk.ask(lambda conn: sent.begin_telling(conn, request_id, at_most=at_most)):
        return
    if await desk.look_up(edit):
        await desk.ask(lambda conn: sent.end_telling(conn, request_id))
        log.info("waiting_told", request_id=str(request_id))


async def _send_again(desk: Desk, one: Sent) -> None:
    await desk.ask(lambda conn: sent.sent_again(conn, one.new.id))
    await desk.publish(one.new, one.reply_to, asked_at=datetime.now(UTC) - one.age)
    log.warning("request_sent_again", request_id=str(one.new.id), user_id=one.new.user_id)
