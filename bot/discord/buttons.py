"""Buttons, menus and forms, found by their ids alone, so that they outlive this process."""

from bot.discord.desk import Desk
from bot.discord.library import Asked, Json


class Buttons:
    """What is done for each id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def use(self, asked: Asked, custom_id: str, data: Json) -> None:
        """Do what the id says. One that nobody knows is somebody else's."""
