"""The bot's process: how it starts, why it does not, and how it ends."""

import asyncio
import signal
from typing import Final

import aiohttp
import structlog

from bot.discord.client import Client
from bot.discord.desk import Desk, Settings
from bot.discord.library import nextcord
from bot.discord.watching import look_after
from db.settings import SettingsError
from workers import retirement

log = structlog.get_logger(__name__)

LOGIN_TIMEOUT: Final = 20.0
GRACE: Final = 5.0
"""Seconds that people who wait for an answer are given when the process is told to end."""


class DiscordUnavailable(Exception):
    """Discord cannot be reached, or does not let us in. The message is for operators."""


def serve(settings: Settings) -> None:
    """Run the bot until SIGTERM or Ctrl-C.

    Raises SettingsError for a token that Discord does not know, and DiscordUnavailable.
    """
    nextcord.http.Route.BASE = settings.discord.discord_api_url
    desk = Desk(settings)
    retirement.warn(desk.provider)
    try:
        asyncio.run(_serve(desk))
    finally:
        desk.close()


async def _serve(desk: Desk) -> None:
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    client = Client(desk)
    running = asyncio.ensure_future(_run(client, desk))
    watching = asyncio.ensure_future(look_after(desk))
    ending = asyncio.ensure_future(told_to_end.wait())
    try:
        await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
            raise DiscordUnavailable("Discord has ended the connection for good")
        log.info("bot_stopping")
        await client.finish(within=GRACE)
    finally:
        for each in (ending, watching, running):
            each.cancel()
        await client.close()
        await asyncio.gather(running, watching, ending, return_exceptions=True)


async def _run(client: Client, desk: Desk) -> None:
    where = desk.settings.discord.discord_api_url
    try:
        async with asyncio.timeout(LOGIN_TIMEOUT):
            await client.login(desk.settings.bot.discord_token.get_secret_value())
    except nextcord.LoginFailure:
        raise SettingsError(
            "Discord does not know this DISCORD_TOKEN: the developer portal shows the token of "
            'your application under "Bot", or resets it'
        ) from None
    except TimeoutError:
        raise DiscordUnavailable(f"Discord did not answer in time ({where})") from None
    except (nextcord.HTTPException, aiohttp.ClientError, OSError) as error:
        raise DiscordUnavailable(_unreachable(where, error)) from None
    try:
        await client.connect()
    except nextcord.PrivilegedIntentsRequired:
        raise DiscordUnavailable(
            "Discord does not give this application the intents that the bot asks for"
        ) from None
    except nextcord.ConnectionClosed as error:
        if error.code == 4004:
            raise SettingsError("Discord does not know this DISCORD_TOKEN any more") from None
        raise DiscordUnavailable(f"Discord closed the connection: code {error.code}") from None
    except (nextcord.HTTPException, aiohttp.ClientError, OSError) as error:
        raise DiscordUnavailable(_unreachable(where, error)) from None


def _unreachable(where: str, error: Exception) -> str:
    if isinstance(error, nextcord.HTTPException):
        return f"Discord answered with status {error.status} ({where})"
    return f"Discord cannot be reached at {where}: {error}"
