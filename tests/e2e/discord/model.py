"""What there is: users, guilds, channels and messages, as Discord keeps them."""

from dataclasses import dataclass, field
from typing import Final

from tests.e2e.discord.errors import Json
from tests.e2e.discord.permissions import EVERYTHING, NOTHING, ORDINARY, Permission

EPHEMERAL: Final = 1 << 6
LOADING: Final = 1 << 7
"""Flags of a message: seen by one user alone; an answer that is still to come."""
TEXT: Final = 0
DM: Final = 1
"""Types of channels."""


@dataclass(eq=False)
class User:
    """A person or the bot."""

    id: int
    name: str
    is_bot: bool = False
    accepts_dms: bool = True


@dataclass(eq=False)
class Role:
    """A role, which may be pinged."""

    id: int
    name: str
    permissions: Permission = NOTHING
    mentionable: bool = False


@dataclass(eq=False)
class Member:
    """A user in a guild."""

    user: User
    joined_at: str
    roles: list[Role] = field(default_factory=list)

    @property
    def permissions(self) -> Permission:
        """What the user may do, but for what a channel denies."""
        granted = ORDINARY
        for role in self.roles:
            granted |= role.permissions
        return granted.effective


@dataclass(eq=False)
class Guild:
    """A server, as people call it."""

    id: int
    name: str
    owner: User
    members: dict[int, Member] = field(default_factory=dict)
    roles: dict[int, Role] = field(default_factory=dict)
    channels: dict[int, "Channel"] = field(default_factory=dict)


@dataclass(eq=False)
class Channel:
    """A text channel of a guild, or the conversation of the bot and a user."""

    id: int
    name: str
    guild: Guild | None = None
    recipient: User | None = None
    denied: Permission = NOTHING
    """What the bot may not do here."""
    messages: dict[int, "Message"] = field(default_factory=dict)

    def permissions(self, user: User) -> Permission:
        """What somebody may do here."""
        if self.guild is None:
            return EVERYTHING
        granted = self.guild.members[user.id].permissions
        if Permission.ADMINISTRATOR in granted or not user.is_bot:
            return granted
        return granted & ~self.denied

    @property
    def people(self) -> list[User]:
        """Who sees what is written here, the bot aside."""
        if self.guild is None:
            return [self.recipient] if self.recipient else []
        return [each.user for each in self.guild.members.values() if not each.user.is_bot]


@dataclass(frozen=True)
class Attachment:
    """A file of a message."""

    id: int
    filename: str
    content: bytes
    content_type: str
    description: str | None = None


@dataclass(frozen=True)
class Version:
    """What a message said from some time on."""

    at: float
    """By Discord's clock."""
    monotonic: float
    content: str = ""
    embeds: tuple[Json, ...] = ()
    components: tuple[Json, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    is_loading: bool = False


@dataclass(frozen=True)
class Pings:
    """Who gets a notification of a message."""

    users: frozenset[User] = frozenset()
    has_everyone: bool = False
    """@everyone or @here took effect."""


@dataclass(eq=False)
class Message:
    """A message, with everything it ever said."""

    id: int
    channel: Channel
    author: User
    versions: list[Version]
    flags: int = 0
    only_for: User | None = None
    """Who alone sees it, if it is ephemeral."""
    interaction: Json | None = None
    """What it answers, as shown beside it."""
    nonce: str | None = None
    pings: Pings = Pings()
    mentions: frozenset[User] = frozenset()
    """Whose names are highlighted in it, pinged or not."""
    is_deleted: bool = False

    @property
    def now(self) -> Version:
        """What it says now."""
        return self.versions[-1]

    @property
    def content(self) -> str:
        """Its text."""
        return self.now.content

    @property
    def embeds(self) -> tuple[Json, ...]:
        """Its embeds, as they were sent."""
        return self.now.embeds

    @property
    def components(self) -> tuple[Json, ...]:
        """Its rows, as they were sent."""
        return self.now.components

    @property
    def attachments(self) -> tuple[Attachment, ...]:
        """Its files."""
        return self.now.attachments

    @property
    def is_ephemeral(self) -> bool:
        """Whether one user alone sees it."""
        return self.only_for is not None

    @property
    def edits(self) -> list[Version]:
        """What it said after its first version."""
        return self.versions[1:]

    def is_seen_by(self, user: User) -> bool:
        """Whether it is on that user's screen."""
        if self.is_deleted or (self.only_for is not None and self.only_for is not user):
            return False
        return user in self.channel.people
