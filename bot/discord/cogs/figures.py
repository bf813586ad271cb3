"""``/stats`` for a server's administrators, ``/dashboard`` for the bot's owner."""

import io
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from bot import chart, embeds
from bot.discord import sentences
from bot.discord.administrators import ADMINISTRATOR, need_administrator
from bot.discord.answering import promise, tell
from bot.discord.desk import Declined, Desk
from bot.discord.library import Asked, Json, commands, nextcord
from bot.discord.taking import guild_of
from db import statistics
from db.figures import GlobalFigures, GuildFigures
from workers import retirement

By = Literal["day", "week", "month"]

BARS: Final[dict[By, int]] = {"day": 30, "week": 26, "month": 12}
HOURS: Final = {"24 hours": 24, "7 days": 7 * 24, "30 days": 30 * 24}
PICTURE: Final = "figures.png"


class Statistics(commands.Cog):
    """Figures over many requests."""

    def __init__(self, desk: Desk, is_owner: Callable[[Any], Awaitable[bool]]) -> None:
        self._desk = desk
        self._is_owner = is_owner

    @nextcord.slash_command(
        description="What was asked for in this server", default_member_permissions=ADMINISTRATOR
    )
    async def stats(
        self,
        asked: Asked,
        by: str = nextcord.SlashOption(
            description="What a bar stands for (day)", choices=[*BARS], default="day"
        ),
    ) -> None:
        """A chart, with the figures."""
        await promise(asked, is_private=True)
        need_administrator(asked)
        period: By = "week" if by == "week" else "month" if by == "month" else "day"
        guild_id = guild_of(asked)
        until = datetime.now(UTC)
        since = chart.first_bar(period, until, bars=BARS[period])

        def read(conn: Any) -> GuildFigures:
            return statistics.of_guild(conn, guild_id, by=period, since=since, until=until)

        found = await self._desk.report(read)
        title = f"The last {BARS[period]} {period}s"
        drawn = await self._desk.look_up(
            lambda: chart.of_periods(found.periods, by=period, until=until, bars=BARS[period])
        )
        await self._tell(asked, embeds.guild(found, title=title), drawn)

    @nextcord.slash_command(description="What is asked for everywhere (for the bot's owner)")
    async def dashboard(
        self,
        asked: Asked,
        hours: int = nextcord.SlashOption(
            name="time", description="How far back (24 hours)", choices=HOURS, default=24
        ),
    ) -> None:
        """Everybody's figures."""
        await promise(asked, is_private=True)
        if not await self._is_owner(asked.user):
            raise Declined(sentences.ONLY_THE_OWNER)
        until = datetime.now(UTC)
        since = until - timedelta(hours=hours)

        def read(conn: Any) -> GlobalFigures:
            return statistics.of_all(conn, since=since, until=until)

        found = await self._desk.report(read)
        drawn = await self._desk.look_up(lambda: chart.of_states(found))
        [title] = (name for name, length in HOURS.items() if length == hours)
        warning = retirement.warning(self._desk.provider)
        shown = embeds.everybody(found, title=f"The last {title}", warning=warning)
        await self._tell(asked, shown, drawn)

    @staticmethod
    async def _tell(asked: Asked, figures: Json, drawn: bytes) -> None:
        shown = {**figures, "image": {"url": f"attachment://{PICTURE}"}}
        await tell(asked, embeds=[shown], files=[nextcord.File(io.BytesIO(drawn), PICTURE)])
