"""``/history``, ``/video`` and ``/quota``: what is one's own, shown to nobody else."""

from uuid import UUID

from bot import embeds
from bot.discord import sentences
from bot.discord.answering import promise, tell
from bot.discord.desk import Declined, Desk
from bot.discord.library import Asked, commands, nextcord
from bot.discord.pages import ANY, Page
from bot.discord.showing import show_page, show_video
from bot.discord.taking import guild_of, user_of
from db.states import Status

STATUSES = {"any": ANY, **{status.value: status.value for status in Status}}


class Own(commands.Cog):
    """What somebody has asked for, and how much more they may."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @nextcord.slash_command(description="Your videos, the newest first")
    async def history(
        self,
        asked: Asked,
        status: str = nextcord.SlashOption(
            description="Only those in this state", choices=STATUSES, default=ANY
        ),
        since: str = nextcord.SlashOption(
            description="From this day on, like 2026-02-28 (UTC)", max_length=10, default=""
        ),
        until: str = nextcord.SlashOption(
            description="Up to this day, like 2026-02-28 (UTC)", max_length=10, default=""
        ),
        archived: bool = nextcord.SlashOption(
            description="Those that you have archived instead", default=False
        ),
    ) -> None:
        """The first page."""
        await promise(asked, is_private=True)
        await show_page(self._desk, asked, Page(0, status, since, until, archived))

    @nextcord.slash_command(description="One of your videos, with all that is known of it")
    async def video(
        self,
        asked: Asked,
        video_id: str = nextcord.SlashOption(
            name="id", description="As /history shows it", max_length=50
        ),
    ) -> None:
        """One request."""
        await promise(asked, is_private=True)
        try:
            request_id = UUID(video_id.strip(" `"))
        except ValueError:
            raise Declined(sentences.NO_ID) from None
        await show_video(self._desk, asked, request_id)

    @nextcord.slash_command(description="How many videos you may still ask for, and when")
    async def quota(self, asked: Asked) -> None:
        """All limits and budgets."""
        await promise(asked, is_private=True)
        standing = await self._desk.standing(user_of(asked), guild_of(asked))
        await tell(asked, embeds=[embeds.standing(standing, title="Your limits")])
