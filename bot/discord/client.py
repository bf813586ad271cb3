"""The client: what it hears of, who deals with it, and how errors end."""

import asyncio
import sys
import time
from typing import Any, Final, cast

import aiohttp
import structlog

from bot.discord.answering import explain
from bot.discord.buttons import Buttons
from bot.discord.cogs.figures import Statistics
from bot.discord.cogs.limits import Limits
from bot.discord.cogs.mydata import MyData
from bot.discord.cogs.own import Own
from bot.discord.cogs.veo import veo
from bot.discord.desk import Desk
from bot.discord.library import Asked, commands, nextcord

log = structlog.get_logger(__name__)

IDENTIFY_EVERY: Final = 5.0
"""Seconds that Discord wants between two new sessions of one bot."""


class Client(commands.Bot):
    """Knows our commands, here or everywhere, and nobody's presence, members or messages."""

    def __init__(self, desk: Desk) -> None:
        guild_id = desk.settings.bot.discord_guild_id
        super().__init__(
            intents=nextcord.Intents(guilds=True),
            # Whatever a prompt says, nobody is pinged by what we write.
            allowed_mentions=nextcord.AllowedMentions.none(),
            default_guild_ids=[] if guild_id is None else [guild_id],
            max_messages=None,
        )
        self._buttons = Buttons(desk)
        self._identified_at = -IDENTIFY_EVERY
        self._tidied: set[str] = set()
        self._at_work: set[asyncio.Task[Any]] = set()
        for cog in (
            veo(desk),
            Own(desk),
            MyData(desk),
            Limits(desk, self.is_owner),
            Statistics(desk, self.is_owner),
        ):
            self.add_cog(cog)

    async def on_connect(self) -> None:
        """Register what changed. Without that, commands that are known already go on working."""
        try:
            await super().on_connect()
        except (nextcord.HTTPException, aiohttp.ClientError, OSError) as error:
            log.error("commands_not_registered", error=f"{type(error).__name__}: {error}")

    async def on_ready(self) -> None:
        """Say so."""
        log.info("bot_ready", servers=len(self.guilds))

    async def on_interaction(self, interaction: Asked) -> None:
        """Commands go to their cogs, everything else by its id."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._at_work.add(task)
        try:
            if interaction.type is nextcord.InteractionType.application_command:
                await self._run(interaction)
            else:
                await self._use(interaction)
        finally:
            self._at_work.discard(task)

    async def _run(self, asked: Asked) -> None:
        data: Any = asked.data or {}
        scope = data.get("guild_id")
        # By the signature it is looked up in one way in nextcord 2, and in another in 3.
        everywhere = next(
            (
                each
                for each in self.get_all_application_commands()
                if each.is_global and (each.name, each.type.value) == (data["name"], data["type"])
            ),
            None,
        )
        is_known = self.get_application_command(int(data["id"])) is not None
        if is_known or scope is None or everywhere is None:
            await super().on_interaction(asked)
            return
        # Registered in this server while DISCORD_GUILD_ID named it. It still is what it says.
        await everywhere.call(self._connection, asked)
        if scope not in self._tidied:
            self._tidied.add(scope)
            await self.discover_application_commands(guild_id=int(scope))

    async def _use(self, asked: Asked) -> None:
        data: Any = asked.data or {}
        custom_id = str(data.get("custom_id", ""))
        try:
            await self._buttons.use(asked, custom_id, data)
        except Exception as error:  # noqa: BLE001 -- whoever clicked is told something
            await explain(asked, error, custom_id)

    async def on_application_command_error(self, interaction: Asked, exception: Exception) -> None:
        """A command ended otherwise than in its answer."""
        name = getattr(interaction.application_command, "qualified_name", "unknown")
        await explain(interaction, getattr(exception, "original", exception), f"/{name}")

    async def on_error(self, event_method: str, *args: Any, **kwargs: Any) -> None:
        """A bug, told without what it was about (LG2)."""
        del args, kwargs
        error = type(sys.exception()).__name__
        log.error("event_failed", event_method=event_method, error=error)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """Wait no longer for a new session than Discord wants: interactions live for 3 s."""
        del shard_id, initial
        wait = self._identified_at + IDENTIFY_EVERY - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        self._identified_at = time.monotonic()

    async def finish(self, *, within: float) -> None:
        """Let what people wait for come to its end, for so many seconds."""
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=within)
