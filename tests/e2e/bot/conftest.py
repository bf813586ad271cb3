"""One Discord and one system for a module's tests; each test brings people of its own."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.bot.studio import Studio
from tests.e2e.discord import FakeDiscord, Guild, Person, fake_discord
from tests.workers.conftest import MakeSystem, make_shared_system

__all__ = ["make_shared_system"]

NewStudio = Callable[..., Studio]


@pytest.fixture(scope="module")
def discord() -> Iterator[FakeDiscord]:
    """Discord, where nothing was asked that the double does not know."""
    with fake_discord() as found:
        yield found
        assert not found.unexpected


@pytest.fixture(scope="module")
def guild(discord: FakeDiscord) -> Guild:
    """A guild that the bot is in."""
    return discord.new_guild()


@pytest.fixture
def ana(discord: FakeDiscord, guild: Guild) -> Person:
    """Somebody in it, who has never asked for anything."""
    return discord.new_person("ana", guild)


@pytest.fixture(scope="module")
def new_studio(discord: FakeDiscord, make_shared_system: MakeSystem) -> NewStudio:
    """Make the studio of a module, with these variables for all its processes."""

    def make(**environment: object) -> Studio:
        return Studio(discord, make_shared_system(**environment))

    return make
