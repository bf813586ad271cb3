"""A double of Discord itself: REST and gateway on one local port, as strict as the real one.

It mirrors Discord's public documentation, API version 10; each module names the chapter. A test
acts through persons (`discord.new_person("ana", guild).slash("veo", {...})`), looks at what the
application answered, and causes accidents (`discord.faults`, `discord.gateway`, `discord.clock`).
"""

from tests.e2e.discord.interactions import Callback, Interaction, Kind
from tests.e2e.discord.model import Attachment, Channel, Guild, Message, Role, User
from tests.e2e.discord.offers import NotOffered
from tests.e2e.discord.people import Person
from tests.e2e.discord.permissions import Permission
from tests.e2e.discord.rest.faults import Ending, Fault, When
from tests.e2e.discord.server import FakeDiscord, fake_discord

__all__ = [
    "Attachment",
    "Callback",
    "Channel",
    "Ending",
    "FakeDiscord",
    "Fault",
    "Guild",
    "Interaction",
    "Kind",
    "Message",
    "NotOffered",
    "Permission",
    "Person",
    "Role",
    "User",
    "When",
    "fake_discord",
]
