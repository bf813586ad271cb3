"""``/veo`` on the real bot: taken on, refused, and what a person reads."""

from collections.abc import Iterator

import pytest

from db.states import Status
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of
from tests.e2e.discord import Callback, Channel, FakeDiscord, Guild, Person

KITE = "a red kite over a grassy park"


@pytest.fixture(scope="module")
def elsewhere(discord: FakeDiscord, guild: Guild) -> Channel:
    return discord.new_channel(guild, "elsewhere")


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio, guild: Guild, elsewhere: Channel) -> Iterator[Studio]:
    """With a worker, five videos a day, a price, and rules."""
    found = new_studio(DAILY_LIMIT=5, SANDBOX_PRICE_PER_SECOND="0.1")
    found.system.start_worker()
    [general] = (each for each in guild.channels if each != elsewhere.id)
    rules = {"ALLOWED_CHANNEL_IDS": f"{general}, 42", "BLOCKED_WORDS": "blood, Öl, red flag"}
    with found.bot(**rules):
        yield found


def test_it_is_deferred_and_becomes_a_row(studio: Studio, guild: Guild, ana: Person) -> None:
    asked = ana.slash(
        "veo",
        {
            "prompt": KITE,
            "duration": "8 seconds",
            "aspect_ratio": "9:16",
            "resolution": "1080p",
            "audio": False,
        },
    )
    asked.wait_until_acknowledged()
    assert asked.callback is Callback.DEFERRED_MESSAGE
    assert not asked.is_ephemeral
    [row] = studio.system.wait_until_ended([id_of(asked)])
    assert row.status is Status.COMPLETED
    assert (row.user_id, row.guild_id) == (str(ana.id), str(guild.id))
    assert row.channel_id == str(ana.place.id)
    assert (row.prompt, row.duration_seconds, row.aspect_ratio) == (KITE, 8, "9:16")
    assert (row.resolution, row.generate_audio) == ("1080p", False)
    first = asked.history[0].content
    assert first == "Your video goes into the queue: 4 of 5 left today after this one; $0.80."
    assert not ana.pings
