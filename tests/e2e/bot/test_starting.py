"""How the bot starts, why it does not, what it registers, and how its connection is cut."""

from collections.abc import Iterator

import pytest

from db.processes import free_port
from tests.bot.running import run
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import COMMANDS, WRITE, Studio, id_of, wait_until_said
from tests.e2e.discord import Guild, Person
from tests.workers.running import Process

READ = "GET /applications/{application}/commands"
READ_LOCAL = "GET /applications/*/guilds/*/commands"
SECRET = "hush-hush.hush.hush"


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Studio:
    return new_studio()


def refused(studio: Studio, **environment: str) -> tuple[int, str]:
    """Exit status and words of a bot that does not start."""
    found = run("bot", env={**studio.environment, **environment})
    assert "Traceback" not in found.stderr
    assert SECRET not in found.stderr + found.stdout
    [said] = [
        line.removeprefix("video-bot: ")
        for line in found.stderr.splitlines()
        if line.startswith("video-bot: ")
    ]
    return found.returncode, said


def test_without_a_token(studio: Studio) -> None:
    said = refused(studio, DISCORD_TOKEN="")
    assert said == (2, "DISCORD_TOKEN environment variable is required")


def test_what_cannot_be_a_token(studio: Studio) -> None:
    status, said = refused(studio, DISCORD_TOKEN=f"Bot {SECRET}")
    assert (status, said.split()[:3]) == (2, ["DISCORD_TOKEN", "must", "be"])


def test_a_token_that_discord_does_not_know(studio: Studio) -> None:
    status, said = refused(studio, DISCORD_TOKEN=SECRET)
    assert status == 2
    assert said.startswith("Discord does not know this DISCORD_TOKEN: ")


def test_no_network(studio: Studio) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}/api/v10"
    status, said = refused(studio, DISCORD_API_URL=nowhere)
    assert status == 1
    assert said.startswith(f"Discord cannot be reached at {nowhere}: ")


def test_intents_that_are_not_given(studio: Studio) -> None:
    studio.discord.gateway.refuses_with = 4014
    try:
        status, said = refused(studio)
    finally:
        studio.discord.gateway.refuses_with = None
    assert (status, "intents" in said) == (1, True)


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("DISCORD_API_URL", "discord.com", "must look like https://discord.com/api/v10"),
        ("DISCORD_GUILD_ID", "here", "must be a number"),
        ("ALLOWED_CHANNEL_IDS", "1,#two", "must be numbers separated by commas, like 123,456"),
    ],
)
def test_a_wrong_setting(studio: Studio, variable: str, value: str, wanted: str) -> None:
    status, said = refused(studio, **{variable: value})
    assert status == 2
    assert said.startswith(f"{variable} {wanted}")


def test_commands_are_registered_once_and_only_what_changed_again(
    studio: Studio, ana: Person
) -> None:
    discord = studio.discord
    with studio.bot():
        assert discord.commands() == [*COMMANDS]
        ana.slash("quota").wait_for_text("Last 24 hours")
    writes = discord.ledger.count(WRITE)
    assert writes == len(COMMANDS)

    reads = discord.ledger.count(READ, status=200)
    with studio.bot():
        discord.ledger.wait_for(lambda it: it.count(READ, status=200) > reads, "it has looked")
        ana.slash("quota").wait_for_text("Last 24 hours")
    assert discord.ledger.count(WRITE) == writes

    # An earlier release described one otherwise, lacked one and had one more.
    with discord.world.moving():
        known = {each["name"]: each for each in discord.world.commands.values()}
        known["quota"]["description"] = "Something else"
        stale = {**known["video"], "name": "old", "id": str(discord.clock.snowflake())}
        del discord.world.commands[int(known["video"]["id"])]
        discord.world.commands[int(stale["id"])] = stale
    with studio.bot():
        discord.ledger.wait_for(lambda it: it.count(WRITE) == writes + 2, "what changed")
        discord.ledger.wait_for(lambda it: it.count("DELETE *") == 1, "what is gone")
        assert discord.commands() == [*COMMANDS]


def test_commands_of_a_test_server(studio: Studio, guild: Guild, ana: Person) -> None:
    """They move there, and are registered once."""
    discord = studio.discord
    other = discord.new_guild("Other")
    writes = discord.ledger.count(WRITE)
    for _ in range(2):
        with studio.bot(DISCORD_GUILD_ID=guild.id):
            discord.world.wait_for(
                lambda: discord.commands(guild) == [*COMMANDS] and not discord.commands(),
                "they have moved",
            )
    assert discord.ledger.count(WRITE) == writes + len(COMMANDS)
    assert not discord.commands(other)

    # Back again, what is left there goes on working, and is tidied away.
    with studio.bot():
        ana.slash("quota").wait_for_text("Last 24 hours")
        discord.world.wait_for(lambda: not discord.commands(guild), "nothing is left there")
        ana.slash("quota").wait_for_text("Last 24 hours")


def test_a_bot_that_is_told_to_end_ends_in_order(studio: Studio, ana: Person) -> None:
    with studio.bot() as bot:
        held = studio.discord.faults.hang("PATCH /webhooks/*")
        asked = ana.slash("quota")
        held.wait_until_reached()
        bot.terminate()
        held.release()
        asked.wait_for_text("Last 24 hours")
        assert bot.wait() == 0
    assert "Traceback" not in bot.log


@pytest.fixture(scope="module")
def bot(studio: Studio) -> Iterator[Process]:
    with studio.bot() as found:
        yield found


def test_ten_cuts_lose_nothing(studio: Studio, ana: Person, bot: Process) -> None:
    discord = studio.discord
    asked = []
    before = discord.gateway.sessions.resumed
    identified = discord.gateway.sessions.identified
    for number in range(1, 11):
        discord.gateway.cut()
        # The bot is away at this moment.
        asked.append(ana.slash("veo", {"prompt": f"kite number {number}"}))
        discord.gateway.wait_until_resumed(before + number)
    for each in asked:
        wait_until_said(each, "goes into the queue")
    assert discord.gateway.sessions.identified == identified
    assert not any(each.failed for each in asked)
    assert len({id_of(each) for each in asked}) == 10
    assert bot.status is None


def test_a_new_session_begins_at_once(studio: Studio, ana: Person, bot: Process) -> None:
    gateway = studio.discord.gateway
    before = gateway.sessions.identified
    gateway.invalidate(resumable=False)
    studio.discord.world.wait_for(lambda: gateway.sessions.identified > before, "a new session")
    ana.slash("quota").wait_for_text("Last 24 hours")
    assert bot.status is None
