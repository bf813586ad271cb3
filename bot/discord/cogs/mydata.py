"""``/mydata``: what is kept of somebody, and the wish to be forgotten."""

import gzip
import io
from typing import Final

from bot.discord import sentences, views
from bot.discord.answering import promise, tell
from bot.discord.desk import Desk
from bot.discord.library import Asked, commands, nextcord
from bot.discord.showing import LARGEST
from bot.discord.taking import user_of
from bot.plain import as_json
from db import privacy

NAME: Final = "mydata.json"


class MyData(commands.Cog):
    """Everybody's own."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @nextcord.slash_command(description="What is kept of you")
    async def mydata(self, asked: Asked) -> None:
        """Never called itself: it has subcommands."""

    @mydata.subcommand(description="Everything that is kept of you, as a file")
    async def export(self, asked: Asked) -> None:
        """All rows, as JSON; packed where it would be too large otherwise."""
        await promise(asked, is_private=True)
        user_id = user_of(asked)
        written = await self._desk.report(
            lambda conn: as_json(privacy.export(conn, user_id)).encode()
        )
        file = nextcord.File(io.BytesIO(written), NAME)
        if len(written) > LARGEST:
            packed = await self._desk.look_up(lambda: gzip.compress(written))
            file = nextcord.File(io.BytesIO(packed), f"{NAME}.gz")
        await tell(asked, sentences.EXPORTED, files=[file])

    @mydata.subcommand(description="Delete everything that is kept of you")
    async def forget(self, asked: Asked) -> None:
        """Ask first."""
        await promise(asked, is_private=True)
        await tell(asked, sentences.FORGET_ALL, buttons=views.of_wish_to_be_forgotten())
