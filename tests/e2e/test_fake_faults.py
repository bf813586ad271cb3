"""Accidents that tests arrange, met by raw requests and by nextcord's webhook for workers."""

import socket
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.discord import Callback, Ending, FakeDiscord, Interaction, Person, When, fake_discord
from tests.e2e.discord.rest.ledger import BROKEN, LOST
from tests.e2e.raw import Raw, error

EDITS = "PATCH /webhooks/*"
ORIGINAL: Any = "@original"
"""nextcord knows message ids as numbers only."""


@pytest.fixture
def asked(raw: Raw, ana: Person) -> Interaction:
    """A command whose answer was promised."""
    raw.register()
    found = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(found, Callback.DEFERRED_MESSAGE)
    return found


def test_statuses(discord: FakeDiscord, raw: Raw, asked: Interaction) -> None:
    for status in (500, 502, 503, 404):
        discord.faults.refuse(EDITS, status, times=2)
        for _ in range(2):
            refused = raw.follow("PATCH", asked, content="x")
            assert error(refused) == (status, 0)
    discord.faults.refuse(EDITS, 413, code=40005)
    assert error(raw.follow("PATCH", asked, content="x")) == (413, 40005)
    assert not asked.history
    assert raw.follow("PATCH", asked, content="x").status_code == 200
    assert discord.ledger.count(EDITS) == 10
    assert discord.ledger.count(EDITS, status=502) == 2


@pytest.mark.parametrize("when", When)
def test_a_cut_connection(discord: FakeDiscord, raw: Raw, asked: Interaction, when: When) -> None:
    discord.faults.cut(EDITS, when=when)
    with pytest.raises(requests.ConnectionError):
        raw.follow("PATCH", asked, content="x")
    assert bool(asked.history) is (when is When.APPLIED)
    assert raw.follow("PATCH", asked, content="y").status_code == 200


@pytest.mark.parametrize("when", When)
def test_a_hang_until_released(
    discord: FakeDiscord, raw: Raw, asked: Interaction, when: When
) -> None:
    fault = discord.faults.on_upload(when=when)
    raw.follow("PATCH", asked, content="Half way")  # no upload, no accident
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(raw.follow, "PATCH", asked, files={"film.mp4": b"film"})
        fault.wait_until_reached()
        assert not sent.done()
        assert bool(asked.attachments) is (when is When.APPLIED)
        fault.release()
        assert sent.result(10).status_code == 200
    assert asked.attachments[0].content == b"film"


def test_a_hang_that_ends_in_a_cut(discord: FakeDiscord, raw: Raw, asked: Interaction) -> None:
    fault = discord.faults.hang(EDITS)
    with ThreadPoolExecutor() as pool:
        sent = pool.submit(raw.follow, "PATCH", asked, content="x")
        fault.wait_until_reached()
        fault.release(Ending.CUT)
        assert isinstance(sent.exception(10), requests.ConnectionError)
    assert not asked.history


def test_a_client_that_is_gone_harms_nobody(
    discord: FakeDiscord, raw: Raw, asked: Interaction
) -> None:
    fault = discord.faults.hang(EDITS)
    with pytest.raises(requests.Timeout):
        raw.session.patch(
            f"{discord.url}/webhooks/{discord.world.application_id}/{asked.token}"
            "/messages/@original",
            json={"content": "x"},
            timeout=0.1,
        )
    fault.wait_until_reached()
    fault.release()
    # What was received is applied, whether or not anybody waits for the answer.
    asked.wait_for_text("x")


def test_a_client_that_dies_half_way_is_no_fault_of_ours(discord: FakeDiscord) -> None:
    address = urlsplit(discord.url)
    half = b'--x\r\nContent-Disposition: form-data; name="files[0]"; filename="a"\r\n\r\n'
    head = (
        f"POST /api/v10/webhooks/1/x HTTP/1.1\r\nHost: {address.netloc}\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
    )
    with socket.create_connection((address.hostname, address.port), timeout=5) as client:
        client.sendall(head.encode() + half)
        discord.ledger.wait_for(lambda it: it.count("POST *") == 1, "the request is there")
    discord.ledger.wait_for(lambda it: it.count("POST *", status=LOST) == 1, "it is given up")


def test_a_rate_limit_with_all_its_headers(
    discord: FakeDiscord, raw: Raw, asked: Interaction
) -> None:
    discord.faults.rate_limit(EDITS, retry_after=1.5)
    found = raw.follow("PATCH", asked, content="x")
    assert found.status_code == 429
    assert found.json() == {
        "message": "You are being rate limited.",
        "code": 0,
        "retry_after": 1.5,
        "global": False,
    }
    assert found.headers["Retry-After"] == "2"
    assert found.headers["X-RateLimit-Reset-After"] == "1.500"
    assert found.headers["X-RateLimit-Scope"] == "user"
    assert found.headers["Via"]
    discord.faults.rate_limit(EDITS, retry_after=0.1, is_global=True)
    assert raw.follow("PATCH", asked, content="x").headers["X-RateLimit-Global"] == "true"


def test_five_edits_in_five_seconds(discord: FakeDiscord, raw: Raw, asked: Interaction) -> None:
    discord.rate_limits.limits_edits = True
    found = [raw.follow("PATCH", asked, content=f"{number}") for number in range(6)]
    assert [each.status_code for each in found] == [200] * 5 + [429]
    left = [each.headers["X-RateLimit-Remaining"] for each in found]
    assert left == ["4", "3", "2", "1", "0", "0"]
    assert 0 < found[-1].json()["retry_after"] <= 5
    assert raw.follow("GET", asked).status_code == 200


def worker_edits(discord: FakeDiscord, asked: Interaction) -> Callable[..., Any]:
    """How a worker edits an answer: no event loop, no token of the bot's."""
    with warnings.catch_warnings():
        # nextcord 2.6 itself uses what Python and setuptools are about to remove.
        warnings.simplefilter("ignore")
        import nextcord
        from nextcord.http import Route
    Route.BASE = discord.url

    def edit(content: str, film: bytes | None = None) -> object:
        with requests.Session() as session:
            webhook = nextcord.SyncWebhook.partial(
                discord.world.application_id, asked.token, session=session
            )
            if film is None:
                return webhook.edit_message(ORIGINAL, content=content)
            file = nextcord.File(BytesIO(film), "film.mp4")
            return webhook.edit_message(ORIGINAL, content=content, file=file)

    return edit


def test_a_worker_edits_an_answer(discord: FakeDiscord, asked: Interaction) -> None:
    edit = worker_edits(discord, asked)
    edit("Half way")
    edit("Here it is.", b"film")
    edit("Here it is again.", b"film 2")
    assert [each.content for each in asked.history] == [
        "Half way",
        "Here it is.",
        "Here it is again.",
    ]
    [film] = asked.attachments
    assert (film.filename, film.content) == ("film.mp4", b"film 2")
    # A limit is waited for, and then obeyed.
    discord.faults.rate_limit(EDITS, retry_after=0.2)
    began = time.monotonic()
    edit("After a while")
    assert time.monotonic() - began >= 0.2
    assert asked.content == "After a while"
    discord.clock.advance(minutes=16)
    with pytest.raises(Exception, match="50027"):
        edit("Too late")
    discord.world.expired_token_code = 10015
    with pytest.raises(Exception, match="10015"):
        edit("Too late")


def test_nothing_is_left_behind() -> None:
    before = threading.active_count()
    with fake_discord() as found:
        assert threading.active_count() == before + 1
    assert threading.active_count() == before
    with pytest.raises(requests.ConnectionError):
        requests.get(found.url, timeout=5)


def test_a_double_that_stumbles_says_so(discord: FakeDiscord, raw: Raw) -> None:
    assert raw.call("GET", f"{raw.commands}/not-a-number").status_code == 500
    [entry] = discord.unexpected
    assert entry.status == BROKEN
    discord.ledger._entries.clear()
