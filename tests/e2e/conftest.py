"""A Discord of each test's own."""

from collections.abc import Iterator

import pytest

from tests.e2e.discord import FakeDiscord, Guild, Person, fake_discord
from tests.e2e.raw import Raw
from tests.workers.conftest import as_a_new_process, make_shared_system, make_system

__all__ = ["as_a_new_process", "make_shared_system", "make_system"]


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """Discord, where nothing was asked that the double does not know."""
    with fake_discord() as found:
        yield found
        assert not found.unexpected


@pytest.fixture
def guild(discord: FakeDiscord) -> Guild:
    """A guild that the bot is in."""
    return discord.new_guild()


@pytest.fixture
def ana(discord: FakeDiscord, guild: Guild) -> Person:
    """Somebody in it."""
    return discord.new_person("ana", guild)


@pytest.fixture
def raw(discord: FakeDiscord) -> Iterator[Raw]:
    """An application without a library."""
    found = Raw(discord)
    yield found
    found.session.close()
