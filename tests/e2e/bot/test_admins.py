"""Limits, statistics and the dashboard: for whom they are, and what they show."""

import io
from collections.abc import Iterator

import pytest
from PIL import Image

from bot.discord import sentences
from db import quotas
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, texts
from tests.e2e.discord import FakeDiscord, Guild, Interaction, NotOffered, Permission, Person


@pytest.fixture(scope="module")
def owner(discord: FakeDiscord, guild: Guild) -> Person:
    """Whose application it is."""
    found = discord.new_person("owner", guild, permissions=Permission.ADMINISTRATOR)
    discord.world.owner = found.user
    return found


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio, owner: Person) -> Iterator[Studio]:
    assert owner
    found = new_studio(DAILY_LIMIT=5, MONTHLY_QUOTA=10)
    with found.bot():
        yield found


@pytest.fixture(scope="module")
def chief(discord: FakeDiscord, guild: Guild) -> Person:
    return discord.new_person("chief", guild, permissions=Permission.ADMINISTRATOR)


PROMPTS = [f"*kite* number {number}" for number in range(4)]


def picture(shown: Interaction) -> Image.Image:
    """The one that is attached and shown."""
    [file] = shown.attachments
    assert shown.embeds[0]["image"]["url"] == f"attachment://{file.filename}"
    drawn = Image.open(io.BytesIO(file.content))
    drawn.verify()
    return drawn


def test_quota(studio: Studio, ana: Person) -> None:
    shown = ana.slash("quota").wait_for_text("0 of 5 used, 5 left")
    assert shown.is_ephemeral
    studio.admit(ana, *PROMPTS)
    shown = ana.slash("quota").wait_for_text("4 of 5 used, 1 left")
    assert "The next place comes free <t:" in texts(shown)
    assert "4 of 5 videos of the last 24 hours are used; 1 left." in texts(shown)
    assert "of this month are used" not in texts(shown)


def test_limits_of_a_user(studio: Studio, chief: Person, ana: Person) -> None:
    of_ana = {"user": ana.user}
    shown = chief.slash("limits show", of_ana).wait_for_text("0 of 5 used, 5 left")
    assert shown.is_ephemeral
    chief.slash("limits set", {**of_ana, "daily": 2}).wait_for_text(
        "0 of 2 used, 2 left (set for this user)"
    )
    chief.slash("limits set", {**of_ana, "monthly": 0}).wait_for_text("0 allowed (set")
    with studio.system.database.autocommit() as conn:
        own = quotas.get(conn, str(ana.id))
    assert own is not None
    assert (own.daily_limit, own.monthly_limit) == (2, 0)
    refused = ana.slash("veo", {"prompt": "a red kite"}).wait_until_answered()
    assert refused.content == "Your monthly quota is 0 videos."
    chief.slash("limits reset", of_ana).wait_for_text("0 of 5 used, 5 left")
    with studio.system.database.autocommit() as conn:
        assert quotas.get(conn, str(ana.id)) is None
    nothing = chief.slash("limits set", of_ana).wait_until_answered()
    assert nothing.content == sentences.SAY_WHICH_LIMIT


@pytest.mark.parametrize("command", ["limits show", "limits set", "limits reset", "stats"])
def test_they_are_not_shown_to_others(studio: Studio, ana: Person, command: str) -> None:
    assert studio.discord.commands()
    options = {"user": ana.user} if "limits" in command else {}
    with pytest.raises(NotOffered, match="is not shown to ana"):
        ana.slash(command, options)


@pytest.mark.parametrize("command", ["limits show", "limits set", "limits reset", "stats"])
def test_nor_served_to_others_where_a_server_shows_them(
    studio: Studio, discord: FakeDiscord, ana: Person, command: str
) -> None:
    """Servers may show commands to whom they like, and nobody administrates a conversation."""
    options: dict[str, object] = {"user": ana.user} if "limits" in command else {}
    if command == "limits set":
        options["daily"] = 1000
    [root] = [
        each for each in discord.world.commands.values() if each["name"] == command.split()[0]
    ]
    needed, root["default_member_permissions"] = root["default_member_permissions"], None
    try:
        tried = ana.slash(command, options).wait_until_answered()
    finally:
        root["default_member_permissions"] = needed
    assert tried.content == sentences.ONLY_ADMINISTRATORS
    zoe = discord.new_person("zoe")
    tried = zoe.slash(command, {**options, "user": zoe.user} if options else {})
    assert tried.wait_until_answered().content == sentences.ONLY_IN_SERVERS
    with studio.system.database.autocommit() as conn:
        assert quotas.get(conn, str(ana.id)) is None


def test_on_several_servers_limits_are_the_owners_to_set(
    studio: Studio, discord: FakeDiscord, owner: Person, chief: Person, ana: Person
) -> None:
    of_ana = {"user": ana.user}
    discord.new_guild("Another")
    for command, options in (("limits set", {"daily": 1000}), ("limits reset", {})):
        tried = chief.slash(command, {**of_ana, **options}).wait_until_answered()
        assert tried.content == sentences.LIMITS_HOLD_EVERYWHERE
    with studio.system.database.autocommit() as conn:
        assert quotas.get(conn, str(ana.id)) is None
    chief.slash("limits show", of_ana).wait_for_text("used")
    owner.slash("limits set", {**of_ana, "daily": 7}).wait_for_text("of 7 used")
    owner.slash("limits reset", of_ana).wait_for_text("of 5 used")


@pytest.mark.parametrize("by", ["day", "week", "month"])
def test_statistics_of_a_server(studio: Studio, discord: FakeDiscord, by: str) -> None:
    guild = discord.new_guild("Figures")
    chief = discord.new_person("chief", guild, permissions=Permission.ADMINISTRATOR)
    studio.admit(chief, *PROMPTS[:3])
    shown = chief.slash("stats", {"by": by}).wait_until_answered()
    assert shown.is_ephemeral
    fields = {each["name"]: each["value"] for each in shown.embeds[0]["fields"]}
    assert (fields["Requests"], fields["🕓 pending"], fields["Cost"]) == ("3", "3", "$0.00")
    assert "1 times \u2068\\*kite\\* number 0\u2069" in fields["Most common prompts"]
    drawn = picture(shown)
    assert drawn.format == "PNG"
    assert drawn.width >= 800


def test_the_dashboard_is_for_the_owner(studio: Studio, ana: Person, owner: Person) -> None:
    tried = ana.slash("dashboard").wait_until_answered()
    assert (tried.content, tried.is_ephemeral) == (sentences.ONLY_THE_OWNER, True)
    studio.admit(owner, *PROMPTS[:1])
    shown = owner.slash("dashboard", {"time": "7 days"}).wait_for_text("The last 7 days")
    assert shown.is_ephemeral
    assert "Requests" in texts(shown)
    picture(shown)
