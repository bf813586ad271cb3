"""The double, and the real client in a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import requests

from db import processes
from tests.e2e.discord import Callback, FakeDiscord, Guild, NotOffered, Permission, Person

COMMANDS = ("veo", "limits", "shout", "Quote")
ROOT = Path(__file__).parents[2]
READ = "GET /applications/{application}/commands"
READ_LOCAL = "GET /applications/*/guilds/*/commands"
WRITE = "POST /applications/*"

Start = Callable[..., subprocess.Popen[bytes]]


@contextmanager
def tiny_bot(discord: FakeDiscord, *guilds: Guild) -> Iterator[subprocess.Popen[bytes]]:
    """A bot for the block; it is killed at its end."""
    argv = [sys.executable, "-W", "ignore", "-m", "tests.e2e.tiny_bot", discord.url, discord.token]
    argv += [str(each.id) for each in guilds]
    process = processes.spawn(argv, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def start(discord: FakeDiscord) -> Iterator[Start]:
    """Start a bot, and wait until it serves."""
    with ExitStack() as stack:

        def start_one(*guilds: Guild) -> subprocess.Popen[bytes]:
            bots = len(discord.gateway.sessions.connected) + 1
            found = stack.enter_context(tiny_bot(discord, *guilds))

            def serves() -> bool:
                assert found.poll() is None, "The bot has ended"
                return len(discord.gateway.sessions.connected) >= bots

            discord.world.wait_for(serves, f"{bots} bots serve")
            discord.wait_for_commands(*COMMANDS)
            return found

        yield start_one


def test_a_conversation(discord: FakeDiscord, guild: Guild, ana: Person, start: Start) -> None:
    start()
    asked = ana.slash("veo", {"prompt": "a red fox", "duration": "Four"})
    asked.wait_until_acknowledged()
    assert asked.callback is Callback.DEFERRED_MESSAGE
    assert asked.latency < 3
    asked.wait_for(lambda it: it.followups, "a follow-up")
    assert [each.content for each in asked.history] == ["a red fox, 4 s, None", "Here it is."]
    [film] = asked.attachments
    assert (film.filename, film.content) == ("film.mp4", b"film" * 4)
    assert not asked.is_ephemeral
    [private] = asked.followups
    assert private.only_for is ana.user

    opened = ana.click(asked, "Note").wait_until_answered()
    assert opened.callback is Callback.MODAL
    noted = ana.submit(opened, {"Text": "hello"}).wait_until_answered()
    assert (noted.content, noted.is_ephemeral) == ("Noted: hello", True)
    with pytest.raises(NotOffered):
        ana.submit(opened, {"Text": "x" * 21})
    with pytest.raises(NotOffered):
        ana.click(asked, "Never")

    typed = ana.autocomplete("veo", {"prompt": "a fox", "model": "fin"}, "model")
    choices = typed.wait_until_answered().choices
    assert [each["value"] for each in choices or ()] == ["fine", "finest"]
    ana.select(asked, "Model", "Fine")
    asked.wait_for_text("Model fine")
    assert ana.click(asked, "Done").wait_until_acknowledged().callback is Callback.UPDATE
    assert (asked.content, asked.components) == ("Done.", ())

    chief = discord.new_person("chief", guild, permissions=Permission.MANAGE_GUILD)
    shown = chief.slash("limits show", {"user": ana.user}).wait_until_answered()
    assert shown.content == f"{ana.mention} has 5."
    with pytest.raises(NotOffered):
        ana.slash("limits show", {"user": ana.user})
    shouted = ana.slash("shout", {"text": "hi"}).wait_until_answered()
    assert (shouted.content, shouted.is_ephemeral) == ("Shouted.", True)
    said = chief.wait_for_message(lambda it: it.content == "hi!", "a shout")
    assert [each.content for each in said.versions] == ["hi", "hi!"]
    quoted = chief.use_on(ana.say("Hello"), "Quote").wait_until_answered()
    assert quoted.content == "> Hello"
    assert ana.pings == []


def test_in_a_conversation_with_the_bot(discord: FakeDiscord, start: Start) -> None:
    start()
    bob = discord.new_person("bob")
    asked = bob.slash("veo", {"prompt": "a red fox"})
    asked.wait_for_text("Here it is.")
    assert asked.message in bob.screen()


@pytest.mark.parametrize("is_local", [False, True])
def test_registering_again_changes_nothing(
    discord: FakeDiscord, guild: Guild, ana: Person, start: Start, is_local: bool
) -> None:
    guilds = [guild] if is_local else []
    first = start(*guilds)
    assert len(discord.commands(guild if is_local else None)) == len(COMMANDS)
    ana.slash("veo", {"prompt": "a red fox"}).wait_until_acknowledged()
    writes = discord.ledger.count(WRITE)
    assert writes == len(COMMANDS)
    first.send_signal(signal.SIGKILL)
    first.wait()
    read = READ_LOCAL if is_local else READ
    reads = discord.ledger.count(read, status=200)
    discord.gateway.wait_until_gone()
    start(*guilds)
    discord.ledger.wait_for(lambda it: it.count(read, status=200) > reads, "it has looked")
    ana.slash("veo", {"prompt": "a red fox"}).wait_until_acknowledged()
    assert discord.ledger.count(read) == reads + 1
    assert discord.ledger.count(WRITE) == writes
    assert not discord.ledger.count("DELETE *")


def test_no_interaction_is_lost_in_ten_cuts(
    discord: FakeDiscord, ana: Person, start: Start
) -> None:
    start()
    asked = []
    for number in range(1, 11):
        discord.gateway.cut()
        # The bot is away at this moment.
        asked.append(ana.slash("veo", {"prompt": f"fox number {number}"}))
        discord.gateway.wait_until_resumed(number)
    for each in asked:
        each.wait_for_text("Here it is.")
    assert discord.gateway.sessions.identified == 1
    assert not any(each.failed for each in asked)


def test_reconnecting_as_asked(discord: FakeDiscord, ana: Person, start: Start) -> None:
    start()
    gateway = discord.gateway
    gateway.ask_to_reconnect()
    gateway.wait_until_resumed(1)
    gateway.invalidate(resumable=True)
    gateway.wait_until_resumed(2)
    gateway.close(4000)
    gateway.wait_until_resumed(3)
    beats = gateway.heartbeats
    gateway.demand_heartbeats()
    gateway.wait_for_heartbeats(beats + 1)
    assert gateway.sessions.identified == 1
    gateway.invalidate(resumable=False)
    discord.world.wait_for(lambda: gateway.sessions.identified == 2, "a new session")
    ana.slash("veo", {"prompt": "a red fox"}).wait_for_text("Here it is.")


def test_two_bots_at_once(discord: FakeDiscord, ana: Person, start: Start) -> None:
    start()
    start()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    asked.wait_until_acknowledged()
    # Both hear of it, and whoever is late learns so.
    discord.ledger.wait_for(
        lambda it: it.count("POST /interactions/*", status=400) == 1, "the other's answer"
    )
    asked.wait_for_text("Here it is.")


def test_a_wrong_token_ends_the_bot(discord: FakeDiscord) -> None:
    argv = [sys.executable, "-W", "ignore", "-m", "tests.e2e.tiny_bot", discord.url, "wrong"]
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 1
    assert "LoginFailure" in ended.stderr
    assert discord.ledger.count("GET /users/@me", status=401) == 1


def test_guilds_and_channels_that_come_and_go(discord: FakeDiscord, start: Start) -> None:
    start()
    later = discord.new_guild("Later")
    channel = discord.new_channel(later, "films")
    bob = discord.new_person("bob", later).at(channel)
    asked = bob.slash("shout", {"text": "hi"}).wait_for_text("Shouted.")
    discord.delete_channel(channel)
    edit = f"{discord.url}/webhooks/{discord.world.application_id}/{asked.token}"
    found = requests.patch(f"{edit}/messages/@original", json={"content": "x"}, timeout=5)
    assert (found.status_code, found.json()["code"]) == (404, 10003)
