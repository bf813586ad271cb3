"""What was sent and has not become a row: sent again, once it is certain that the queue lost it.

A request that was not accepted yet lives in its message alone, and Redis may lose that. The same
id is the same request (RT6), so it is never made twice. A bot that ends forgets what it watched.
"""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from bot.discord.desk import Desk, Sent, Unavailable
from db import history
from workers import discord, queues
from workers.app import DELIVERING, STARTING
from workers.chain import BrokerUnavailable

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0
AFTER_AN_OUTAGE: Final = 60.0
"""Seconds without a look: what was made without Postgres is written down meanwhile."""
TOKEN_LIVES: Final = 14 * 60.0
"""Seconds for which an answer can be filled for certain."""
AT_ONCE: Final = 20
PATIENCE: Final = 2.0
"""Seconds for each answer of Redis."""


async def look_after(desk: Desk) -> None:
    """Go on for ever."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        try:
            for one in (await lost(desk))[:AT_ONCE]:
                await _send_again(desk, one)
        except Unavailable:
            await asyncio.sleep(AFTER_AN_OUTAGE)
        except (BrokerUnavailable, discord.DiscordError) as error:
            log.warning("request_not_sent_again", reason=str(error))
        except Exception:
            # Whatever it is, the next look is not to be missed for it.
            log.exception("request_not_sent_again")


async def lost(desk: Desk) -> list[Sent]:
    """Those that no worker has any more, and that never became a row.

    Raises Unavailable or BrokerUnavailable where that cannot be told.
    """
    bound = desk.settings.worker.rescue_after
    begun = time.monotonic() - TOKEN_LIVES
    for one in [each for each in desk.sent.values() if each.asked_at < begun]:
        del desk.sent[one.new.id]
    late = [one for one in desk.sent.values() if one.sent_at < datetime.now(UTC) - bound]
    if not late:
        return []
    # Before the rows are looked for: what is taken meanwhile may be one by then.
    taken = await desk.look_up(lambda: queues.taken_up_to(patience=PATIENCE))
    known = await desk.ask(lambda conn: history.known(conn, [one.new.id for one in late]))
    for request_id in known:
        del desk.sent[request_id]
    # A refusal makes no row either; it has been told when both queues are past it.
    past = min(taken[STARTING], taken[DELIVERING])
    return [one for one in late if one.new.id not in known and one.sent_at + bound < past]


async def _send_again(desk: Desk, one: Sent) -> None:
    settings, reply_to = desk.settings.discord, one.reply_to
    try:
        says = await desk.look_up(lambda: discord.read_answer(settings, reply_to))
    except discord.Rejected:
        # Nobody waits for it any more.
        del desk.sent[one.new.id]
        return
    if says != one.told:
        # It was refused, or goes on without Postgres.
        del desk.sent[one.new.id]
        return
    desk.sent[one.new.id] = replace(one, sent_at=datetime.now(UTC))
    try:
        ago = timedelta(seconds=time.monotonic() - one.asked_at)
        await desk.publish(one.new, reply_to, asked_at=datetime.now(UTC) - ago)
    except Unavailable as error:
        raise BrokerUnavailable(str(error)) from None
    log.warning("request_sent_again", request_id=str(one.new.id), user_id=one.new.user_id)
