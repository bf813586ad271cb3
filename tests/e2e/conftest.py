"""A Discord of each test's own."""

from collections.abc import Iterator

import pytest

from tests.e2e.discord import FakeDiscord, fake_discord


@pytest.fixture
def discord() -> Iterator[FakeDiscord]:
    """Discord, where nothing was asked that the double does not know."""
    with fake_discord() as found:
        yield found
        assert not found.unexpected
