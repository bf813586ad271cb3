"""Who may see and set what concerns a whole server."""

from typing import Final

from bot.discord import sentences
from bot.discord.desk import Declined
from bot.discord.library import Asked

ADMINISTRATOR: Final = 1 << 3
"""Discord's bit of the permission."""


def need_administrator(asked: Asked) -> None:
    """Raise Declined for anybody else: a server can show a command to whom it likes."""
    if asked.guild_id is None:
        raise Declined(sentences.ONLY_IN_SERVERS)
    if not asked.permissions.administrator:
        raise Declined(sentences.ONLY_ADMINISTRATORS)
