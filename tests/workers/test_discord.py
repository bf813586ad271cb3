"""What may go wrong between us and Discord, in a few errors of our own, without a secret (LG2)."""

import socket
import traceback
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from db.records import ReplyTo
from db.settings import SettingsError, read
from tests.e2e.discord import Callback, FakeDiscord, Interaction, fake_discord
from tests.e2e.raw import Raw
from workers import discord
from workers.discord import DiscordError, File, NoAnswer, RateLimited, Rejected, Unavailable
from workers.settings import DiscordSettings

EDITS = "PATCH /webhooks/*"
MESSAGE = {"content": "Here it is.", "allowed_mentions": {"parse": []}}
TOKEN = "a-token-that-nobody-may-see"
REPLY_TO = ReplyTo("100", TOKEN)


@pytest.fixture(scope="module")
def there() -> Iterator[FakeDiscord]:
    with fake_discord() as found:
        yield found


@pytest.fixture
def asked(there: FakeDiscord) -> Interaction:
    """A command whose answer was promised."""
    raw = Raw(there)
    raw.register()
    found = there.new_person("ana", there.new_guild()).slash("veo", {"prompt": "a red fox"})
    raw.answer(found, Callback.DEFERRED_MESSAGE)
    raw.session.close()
    return found


def settings(there: FakeDiscord) -> DiscordSettings:
    return DiscordSettings.model_validate(
        {"discord_token": there.token, "discord_api_url": there.url}
    )


def reply_to(there: FakeDiscord, asked: Interaction) -> ReplyTo:
    return ReplyTo(str(there.world.application_id), asked.token)


def test_an_edit_replaces_what_was_attached(there: FakeDiscord, asked: Interaction) -> None:
    to = reply_to(there, asked)
    for content in (b"one", b"two"):
        discord.edit_answer(settings(there), to, MESSAGE, File("film.mp4", content))
        assert [each.content for each in asked.attachments] == [content]
    discord.edit_answer(settings(there), to, MESSAGE)
    assert not asked.attachments


def test_a_video_on_its_way_is_held_once() -> None:
    film = bytes(9 << 20)
    with _swallower() as url:
        far = DiscordSettings.model_validate({"discord_api_url": url})
        tracemalloc.start()
        try:
            discord.edit_answer(far, REPLY_TO, MESSAGE, File("film.mp4", film))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < len(film) / 3


@contextmanager
def _swallower() -> Iterator[str]:
    """The address of somebody who reads whatever comes, keeps none of it, and says yes."""

    def swallow() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile("rb") as lines:
            length = 0
            while line := lines.readline().strip():
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split()[1])
            while length > 0:
                length -= len(lines.read(min(length, 65_536)))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as thread:
        swallowing = thread.submit(swallow)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        swallowing.result()


def test_the_same_nonce_is_the_same_message(there: FakeDiscord, asked: Interaction) -> None:
    for _ in range(2):
        discord.write(settings(there), str(asked.channel.id), MESSAGE, nonce="once")
    assert len([each for each in asked.channel.messages.values() if each.nonce == "once"]) == 1


def test_every_refusal_is_one_of_ours(there: FakeDiscord, asked: Interaction) -> None:
    to = reply_to(there, asked)
    there.faults.refuse(EDITS, 413, code=40005)
    with pytest.raises(Rejected) as rejected:
        discord.edit_answer(settings(there), to, MESSAGE)
    assert (rejected.value.status, rejected.value.code) == (413, 40005)
    for is_global in (True, False):
        there.faults.rate_limit(EDITS, retry_after=1.5, is_global=is_global)
        with pytest.raises(RateLimited) as limited:
            discord.edit_answer(settings(there), to, MESSAGE)
        assert (limited.value.retry_after, limited.value.is_global) == (1.5, is_global)
    there.faults.refuse(EDITS, 503)
    with pytest.raises(Unavailable, match="Discord answered 503"):
        discord.edit_answer(settings(there), to, MESSAGE)
    wrong = DiscordSettings.model_validate({"discord_token": "wrong", "discord_api_url": there.url})
    with pytest.raises(Rejected, match="401"):
        discord.write(wrong, str(asked.channel.id), MESSAGE, nonce="x")


def test_no_error_shows_the_token(there: FakeDiscord, asked: Interaction) -> None:
    to = reply_to(there, asked)
    there.faults.cut(EDITS)
    hang = there.faults.hang("PATCH /webhooks/{webhook}/{token}/messages/{message}", times=1)
    nobody = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{nobody.getsockname()[1]}/api"
    nobody.close()
    for api, kind in ((there.url, Unavailable), (there.url, NoAnswer), (address, Unavailable)):
        away = DiscordSettings.model_validate({"discord_api_url": api})
        with pytest.raises(DiscordError) as error:
            discord.edit_answer(away, to, MESSAGE, patience=2)
        assert type(error.value) is kind
        shown = "".join(traceback.format_exception(error.value)) + repr(error.value)
        assert asked.token not in shown
        assert error.value.__context__ is None
    hang.release()


def test_without_the_bots_token_no_channel_is_written_to() -> None:
    with pytest.raises(Unavailable, match="DISCORD_TOKEN is not set"):
        discord.write(DiscordSettings(), "1", MESSAGE, nonce="x")


def test_a_netrc_of_this_machine_has_no_say(
    there: FakeDiscord, asked: Interaction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    discord.write(settings(there), str(asked.channel.id), MESSAGE, nonce="netrc")


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("DISCORD_API_URL", "api.example", "must look like https://discord.com/api/v10"),
        ("DISCORD_API_URL", "https://u:p@discord.com", "must look like"),
        ("DISCORD_TOKEN", "two words", "must be a bot's token, without spaces"),
    ],
)
def test_what_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError, match=f"{variable} {sentence}") as error:
        read(DiscordSettings)
    assert value not in str(error.value)


def test_a_slash_at_the_end_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_API_URL", "http://127.0.0.1:8000/api/v10/")
    assert read(DiscordSettings).discord_api_url == "http://127.0.0.1:8000/api/v10"
    assert TOKEN not in repr(REPLY_TO)
