"""``/limits``: what administrators of a server allow single users."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from bot import embeds
from bot.discord import sentences
from bot.discord.administrators import ADMINISTRATOR, need_administrator
from bot.discord.answering import promise, tell
from bot.discord.desk import Declined, Desk
from bot.discord.library import Asked, commands, nextcord
from bot.discord.taking import guild_of
from db import quotas

MOST: Final = 1_000_000
"""Videos."""
WHOSE: Final[Any] = nextcord.SlashOption(description="Whose limits")


class Limits(commands.Cog):
    """How users stand, and what is set for them."""

    def __init__(self, desk: Desk, is_owner: Callable[[Any], Awaitable[bool]]) -> None:
        self._desk = desk
        self._is_owner = is_owner

    @nextcord.slash_command(
        description="The limits of a user", default_member_permissions=ADMINISTRATOR
    )
    async def limits(self, asked: Asked) -> None:
        """Never called itself: it has subcommands."""

    @limits.subcommand(description="How a user stands with their limits")
    async def show(self, asked: Asked, user: nextcord.User = WHOSE) -> None:
        """All limits and budgets of somebody."""
        await promise(asked, is_private=True)
        need_administrator(asked)
        await self._tell(asked, user, f"Limits of {user.name}")

    @limits.subcommand(name="set", description="Allow a user more or fewer videos than others")
    async def set_(
        self,
        asked: Asked,
        user: nextcord.User = WHOSE,
        daily: int = nextcord.SlashOption(
            description="Videos in 24 hours; 0 allows none",
            min_value=0,
            max_value=MOST,
            required=False,
        ),
        monthly: int = nextcord.SlashOption(
            description="Videos in a month; 0 allows none",
            min_value=0,
            max_value=MOST,
            required=False,
        ),
    ) -> None:
        """Set one or both; what is not given stays."""
        await promise(asked, is_private=True)
        await self._need_a_say(asked)
        if daily is None and monthly is None:
            raise Declined(sentences.SAY_WHICH_LIMIT)
        user_id = str(user.id)
        await self._desk.ask(
            lambda conn: quotas.set_limits(conn, user_id, daily=daily, monthly=monthly)
        )
        await self._tell(asked, user, f"New limits of {user.name}")

    @limits.subcommand(description="Allow a user what everybody is allowed")
    async def reset(self, asked: Asked, user: nextcord.User = WHOSE) -> None:
        """Remove what was set."""
        await promise(asked, is_private=True)
        await self._need_a_say(asked)
        user_id = str(user.id)
        await self._desk.ask(lambda conn: quotas.reset(conn, user_id))
        await self._tell(asked, user, f"Limits of {user.name}, as everybody has them")

    async def _need_a_say(self, asked: Asked) -> None:
        """Raise Declined for who may not set limits.

        They hold everywhere, and money with them; anybody can be administrator of a server of
        their own.
        """
        need_administrator(asked)
        if len(asked.client.guilds) > 1 and not await self._is_owner(asked.user):
            raise Declined(sentences.LIMITS_HOLD_EVERYWHERE)

    async def _tell(self, asked: Asked, user: nextcord.User, title: str) -> None:
        user_id = str(user.id)
        standing = await self._desk.standing(user_id, guild_of(asked))
        own = await self._desk.ask(lambda conn: quotas.get(conn, user_id))
        await tell(asked, embeds=[embeds.standing(standing, title=title, own=own)])
