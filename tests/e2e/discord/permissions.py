"""What members and the bot may do (Topics, "Permissions"); only what this double asks for."""

from enum import IntFlag


class Permission(IntFlag):
    """Bits of a set of permissions."""

    ADMINISTRATOR = 1 << 3
    MANAGE_GUILD = 1 << 5
    VIEW_CHANNEL = 1 << 10
    SEND_MESSAGES = 1 << 11
    MANAGE_MESSAGES = 1 << 13
    EMBED_LINKS = 1 << 14
    ATTACH_FILES = 1 << 15
    READ_MESSAGE_HISTORY = 1 << 16
    MENTION_EVERYONE = 1 << 17
    USE_APPLICATION_COMMANDS = 1 << 31

    @property
    def effective(self) -> "Permission":
        """Administrators may do everything."""
        return EVERYTHING if Permission.ADMINISTRATOR in self else self


NOTHING = Permission(0)
EVERYTHING = Permission(sum(Permission))
ORDINARY = (
    Permission.VIEW_CHANNEL
    | Permission.SEND_MESSAGES
    | Permission.EMBED_LINKS
    | Permission.ATTACH_FILES
    | Permission.READ_MESSAGE_HISTORY
    | Permission.USE_APPLICATION_COMMANDS
)
"""What everybody may do in a new guild, the bot included."""
