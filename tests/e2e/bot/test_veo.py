"""``/veo`` on the real bot: taken on, refused, and what a person reads."""

from collections.abc import Iterator

import pytest

from db.states import Status
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of, wait_until_said
from tests.e2e.discord import Callback, Channel, FakeDiscord, Guild, NotOffered, Person

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


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"prompt": "kite"}, "prompt"),
        ({"prompt": "x" * 601}, "prompt"),
        ({"prompt": KITE, "duration": 5}, "duration"),
        ({"prompt": KITE, "aspect_ratio": "4:3"}, "aspect_ratio"),
        ({"prompt": KITE, "resolution": "4k"}, "resolution"),
        ({"prompt": KITE, "audio": "yes"}, "audio"),
        ({}, "prompt"),
    ],
)
def test_discord_itself_offers_nothing_wrong(
    studio: Studio, ana: Person, options: dict[str, object], where: str
) -> None:
    assert studio.discord.commands()
    with pytest.raises(NotOffered, match=where):
        ana.slash("veo", options)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        # Discord counts the blanks too.
        ("  kite  ", "The prompt must have 5 to 600 characters; this one has 4."),
        (
            "a kite\0",
            "The prompt must be plain text; character 7 of it (U+0000) cannot be written.",
        ),
        ("a kite in BLOOD", "The prompt must not contain ||blood||. Please find other words."),
        ("kites of o\u0308l", "The prompt must not contain ||Öl||. Please find other words."),
        ("a RED\u200b flag", "The prompt must not contain ||red flag||. Please find other words."),
    ],
)
def test_a_prompt_that_is_wrong_is_refused_at_once_and_to_them_alone(
    studio: Studio, ana: Person, prompt: str, sentence: str
) -> None:
    asked = ana.slash("veo", {"prompt": prompt}).wait_until_answered()
    assert (asked.callback, asked.is_ephemeral) == (Callback.MESSAGE, True)
    assert asked.content == sentence
    assert not studio.requests_of(ana)


@pytest.mark.usefixtures("studio")
def test_words_that_hold_a_blocked_word_are_none(ana: Person) -> None:
    asked = ana.slash("veo", {"prompt": "a bloodhound"})
    wait_until_said(asked, "goes into the queue")


def test_it_is_for_the_channels_that_are_allowed(
    studio: Studio, discord: FakeDiscord, ana: Person, elsewhere: Channel
) -> None:
    asked = ana.at(elsewhere).slash("veo", {"prompt": KITE}).wait_until_answered()
    assert asked.is_ephemeral
    assert asked.content == f"Videos are made in <#42> or <#{ana.place.id}>, not here."
    bob = discord.new_person("bob")
    assert "not here" in bob.slash("veo", {"prompt": KITE}).wait_until_answered().content
    assert not studio.requests_of(ana)


def test_the_sixth_is_refused_with_the_time_to_come_back(studio: Studio, ana: Person) -> None:
    for left in range(4, -1, -1):
        asked = ana.slash("veo", {"prompt": KITE})
        wait_until_said(asked, f"{left} of 5 left")
        studio.system.wait_for_row(id_of(asked))
    sixth = ana.slash("veo", {"prompt": KITE})
    sixth.wait_for_text("All 5 videos of the last 24 hours are used. The next one comes free at ")
    assert "resets in 2" in sixth.content
    assert len(studio.requests_of(ana)) == 5


@pytest.mark.usefixtures("studio")
def test_a_refusal_that_discord_cut_off_is_told_all_the_same(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    """Nothing follows it that could be told instead."""
    studio.admit(ana, *["a kite of before"] * 5)
    cut = discord.faults.cut("PATCH /webhooks/*", times=2)
    refused = ana.slash("veo", {"prompt": KITE})
    refused.wait_for_text("All 5 videos of the last 24 hours are used.")
    assert cut.reached == 2


@pytest.mark.usefixtures("studio")
def test_a_refusal_is_told_though_discord_limits_the_bot_for_longer_than_nextcord_waits(
    studio: Studio, discord: FakeDiscord, ana: Person
) -> None:
    studio.admit(ana, *["a kite of before"] * 5)
    limit = discord.faults.rate_limit("PATCH /webhooks/*", retry_after=0.1, times=6)
    refused = ana.slash("veo", {"prompt": KITE})
    refused.wait_for_text("All 5 videos of the last 24 hours are used.")
    assert limit.reached == 6


def test_nobody_is_pinged_by_what_a_prompt_says(discord: FakeDiscord, ana: Person) -> None:
    bob = discord.new_person("bob", ana.place.guild)
    asked = ana.slash("veo", {"prompt": f"@everyone {bob.mention} look"})
    wait_until_said(asked, "goes into the queue")
    assert not bob.pings
    assert not any(each.pings.has_everyone for each in ana.screen())


def test_no_log_line_holds_a_token_or_a_prompt(studio: Studio, ana: Person) -> None:
    long = "a secret garden with a very old gate, seen by nobody but the reader of this line"
    asked = ana.slash("veo", {"prompt": long})
    studio.system.wait_for_row(id_of(asked))
    log = studio.system.log
    assert asked.token not in log
    assert studio.discord.token not in log
    assert long not in log
