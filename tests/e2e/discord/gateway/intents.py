"""Kinds of events a bot asks for (Events, "Gateway": "Gateway Intents")."""

from typing import Final

GUILDS: Final = 1 << 0
GUILD_MEMBERS: Final = 1 << 1
GUILD_PRESENCES: Final = 1 << 8
GUILD_MESSAGES: Final = 1 << 9
DIRECT_MESSAGES: Final = 1 << 12
MESSAGE_CONTENT: Final = 1 << 15

PRIVILEGED: Final = {GUILD_MEMBERS, GUILD_PRESENCES, MESSAGE_CONTENT}
"""Those that must be switched on in the developer portal."""
ALL: Final = sum(1 << bit for bit in (*range(17), 20, 21, 24, 25))
"""Every bit that means something."""
