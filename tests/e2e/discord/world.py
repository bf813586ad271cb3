"""All that Discord knows, under one lock, and waiting for it to change."""

import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from tests.e2e.discord.clock import Clock
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.model import Attachment, Channel, Guild, Message, User
from tests.workers.waiting import PATIENCE

if TYPE_CHECKING:
    from tests.e2e.discord.interactions import Interaction

T = TypeVar("T")

MEBIBYTE: Final = 2**20


class World:
    """Everything, and the bot's application."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        """Hold it to look at more than one thing; notified after every change."""
        self.clock = Clock()
        self.bot = User(self.clock.snowflake(), "video-bot", is_bot=True)
        self.application_id = self.bot.id
        name = urlsafe_b64encode(str(self.bot.id).encode()).decode().rstrip("=")
        self.token = f"{name}.{secrets.token_urlsafe(5)[:6]}.{secrets.token_urlsafe(29)[:38]}"
        self.owner = self.bot
        """Of the application; a person, once a test makes one so."""
        self.users: dict[int, User] = {self.bot.id: self.bot}
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.messages: dict[int, Message] = {}
        self.files: dict[int, Attachment] = {}
        self.commands: dict[int, Json] = {}
        """Registered commands by their id, each with its `guild_id` if it has one."""
        self.interactions: dict[int, Interaction] = {}
        self.by_token: dict[str, Interaction] = {}
        self.emit: Callable[..., None] = lambda *_, **__: None
        """Send an event over the gateway: name, data, intent, and until when it is of use."""
        self.cdn = ""
        """The address under which attachments are served."""
        self.upload_limit = 10 * MEBIBYTE
        """Bytes a file may have."""
        self.expired_token_code = 50027
        """How a token that is too old is refused; Discord has been seen to say 10015 as well."""

    @contextmanager
    def moving(self) -> Iterator[None]:
        """Change something, and tell all who wait."""
        with self.changed:
            try:
                yield
            finally:
                self.changed.notify_all()

    def wait_for(self, look: Callable[[], T], what: str, *, within: float = PATIENCE) -> T:
        """What `look` finds, as soon as it finds anything true. Fails after `within` seconds.

        Nothing moves while it looks: it must not wait for anything itself.
        """
        deadline = time.monotonic() + within
        with self.changed:
            while not (found := look()):
                left = deadline - time.monotonic()
                assert left > 0, f"Waited {within:.0f} s in vain until {what}"
                # The clock can be moved without a notice.
                self.changed.wait(min(left, 0.5))
            return found

    def channel(self, channel_id: str) -> Channel:
        """A channel that exists."""
        found = self.channels.get(int(channel_id)) if channel_id.isdigit() else None
        if found is None:
            raise refusal(10003)
        return found

    def guild(self, guild_id: str) -> Guild:
        """A guild that exists."""
        found = self.guilds.get(int(guild_id)) if guild_id.isdigit() else None
        if found is None:
            raise refusal(10004)
        return found

    def message(self, message_id: str) -> Message:
        """A message that exists."""
        found = self.messages.get(int(message_id)) if message_id.isdigit() else None
        if found is None or found.is_deleted:
            raise refusal(10008)
        return found
