"""What is one's own: history, details, buttons (after a restart too), quota, data."""

import json
from collections.abc import Iterator
from datetime import timedelta
from uuid import uuid4

import pytest
import requests

from bot import embeds
from bot.discord import sentences
from db import keeping, late_results, leases
from db import requests as moves
from db.records import Request
from db.states import Status
from tests.e2e.bot.conftest import NewStudio
from tests.e2e.bot.studio import Studio, id_of, texts, wait_until_said
from tests.e2e.discord import (
    Callback,
    FakeDiscord,
    Guild,
    Interaction,
    Message,
    Permission,
    Person,
)

KITE = "a red kite over a grassy park"
ACTIONS = ("Remix", "Again", "Retry", "Delete")


@pytest.fixture(scope="module")
def studio(new_studio: NewStudio) -> Iterator[Studio]:
    found = new_studio(SANDBOX_SECONDS=0)
    found.system.start_worker()
    with found.bot(BLOCKED_WORDS="blood"):
        yield found


@pytest.fixture(scope="module")
def eve(discord: FakeDiscord, guild: Guild) -> Person:
    """Has a finished video."""
    return discord.new_person("eve", guild)


@pytest.fixture(scope="module")
def film(studio: Studio, eve: Person) -> Request:
    return make(studio, eve)


def make(studio: Studio, person: Person, **options: object) -> Request:
    """A video of somebody's, which has ended."""
    asked = person.slash("veo", {"prompt": KITE, "resolution": "720p", **options})
    asked.wait_until_answered()
    [row] = studio.system.wait_until_ended([id_of(asked)])
    return row


def post(studio: Studio, person: Person, request: Request) -> Message:
    """The message under which the worker puts the buttons."""
    row = [
        {"type": 2, "style": 2, "label": each, "custom_id": f"video:{each.lower()}:{request.id}"}
        for each in ACTIONS
    ]
    body = {"content": "Here it is", "components": [{"type": 1, "components": row}]}
    headers = {"Authorization": f"Bot {studio.discord.token}"}
    url = f"{studio.discord.url}/channels/{person.place.id}/messages"
    made = requests.post(url, json=body, headers=headers, timeout=10).json()
    return studio.discord.world.messages[int(made["id"])]


# --- Buttons --------------------------------------------------------------------------------


@pytest.mark.parametrize("button", ["Again", "Retry"])
def test_once_more(studio: Studio, eve: Person, ana: Person, film: Request, button: str) -> None:
    """Anybody who sees it may ask for the same, of their own limit."""
    asked = ana.click(post(studio, eve, film), button)
    wait_until_said(asked, "goes into the queue")
    assert asked.callback is Callback.DEFERRED_MESSAGE
    row = studio.system.wait_for_row(id_of(asked))
    assert (row.user_id, row.prompt, row.source_id) == (str(ana.id), KITE, film.id)


def test_remix_after_a_restart(studio: Studio, eve: Person, film: Request) -> None:
    message = post(studio, eve, film)
    opened = eve.click(message, "Remix").wait_until_answered()
    assert opened.callback is Callback.MODAL
    assert opened.modal is not None
    [field] = opened.modal["components"][0]["components"]
    assert field["value"] == KITE
    bot = studio.system.processes[-1]
    bot.kill()
    studio.discord.gateway.wait_until_gone()
    with studio.bot(BLOCKED_WORDS="blood"):
        # What was opened before is sent now, and the buttons go on working.
        sent = eve.submit(opened, {"prompt": "a blue kite at night"})
        wait_until_said(sent, "goes into the queue")
        row = studio.system.wait_for_row(id_of(sent))
        assert (row.prompt, row.source_id) == ("a blue kite at night", film.id)
        assert "remixed" in studio.system.story(row.id)
        wait_until_said(eve.click(message, "Again"), "goes into the queue")


@pytest.fixture(scope="module")
def bot(studio: Studio) -> Iterator[Studio]:
    """The bot that follows the one which was killed."""
    if studio.system.processes[1].status is None:
        yield studio
        return
    with studio.bot(BLOCKED_WORDS="blood"):
        yield studio


def test_a_remix_keeps_to_the_rules(bot: Studio, eve: Person, film: Request) -> None:
    opened = eve.click(post(bot, eve, film), "Remix").wait_until_answered()
    sent = eve.submit(opened, {"prompt": "a kite of blood"}).wait_until_answered()
    assert sent.content == sentences.blocked("blood")
    assert bot.system.find(id_of(sent)) is None


def test_deleting_is_for_the_owner_and_moderators(
    bot: Studio, discord: FakeDiscord, guild: Guild, ana: Person
) -> None:
    mine = make(bot, ana)
    message = post(bot, ana, mine)
    bob = discord.new_person("bob", guild)
    tried = bob.click(message, "Delete").wait_until_answered()
    assert (tried.content, tried.is_ephemeral) == (sentences.NOT_YOURS, True)
    assert not message.is_deleted
    done = ana.click(message, "Delete").wait_until_answered()
    assert (done.content, done.is_ephemeral) == (sentences.deleted("ended"), True)
    discord.world.wait_for(lambda: message.is_deleted, "the message goes")
    assert bot.system.row(mine.id).deleted_at is not None
    # Its delivery may be written down after it.
    assert "deleted" in bot.system.story(mine.id)

    other = make(bot, ana)
    moderator = discord.new_person("mod", guild, permissions=Permission.MANAGE_MESSAGES)
    again = post(bot, ana, other)
    moderator.click(again, "Delete").wait_for_text("It is deleted.")
    discord.world.wait_for(lambda: again.is_deleted, "the message goes")
    gone = ana.click(post(bot, ana, other), "Again").wait_until_answered()
    assert gone.content == sentences.NO_SUCH_VIDEO


def test_moderators_of_another_server_moderate_nothing_here(
    bot: Studio, discord: FakeDiscord, film: Request
) -> None:
    other = discord.new_guild("Other")
    chief = discord.new_person("chief", other, permissions=Permission.ADMINISTRATOR)
    message = post(bot, chief, film)
    assert chief.click(message, "Delete").wait_until_answered().content == sentences.NOT_YOURS
    assert chief.click(message, "Again").wait_until_answered().content == sentences.NO_SUCH_VIDEO
    shown = chief.slash("video", {"id": str(film.id)}).wait_until_answered()
    assert shown.content == sentences.NO_SUCH_VIDEO


# --- History --------------------------------------------------------------------------------


def test_pages(bot: Studio, ana: Person) -> None:
    """Seven requests: five, two, and five again; newest first, by buttons."""
    bot.admit(ana, *(f"kite number {number}" for number in range(7)))
    shown = ana.slash("history").wait_until_answered()
    assert shown.is_ephemeral
    first = listed(shown)
    assert len(first) == 5
    turned = ana.click(shown, "Older").wait_for(lambda it: "page 2" in texts(it), "page 2")
    assert turned.callback is Callback.DEFERRED_UPDATE
    second = listed(turned)
    assert len(second) == 2
    assert {*first, *second} == {f"kite number {number}" for number in range(7)}
    ana.click(shown, "Newer").wait_for(lambda it: "page 1" in texts(it), "page 1")
    assert listed(shown) == first


def listed(shown: Interaction) -> list[str]:
    """The prompts on a page."""
    lines = shown.embeds[0]["description"].splitlines()[::2]
    return [line.partition("\u2068")[2].rstrip("\u2069") for line in lines]


def test_filters_archive_and_details(bot: Studio, ana: Person) -> None:
    film = make(bot, ana, duration="4 seconds")
    shown = ana.slash("history", {"status": "failed"}).wait_until_answered()
    assert "There are none." in texts(shown)
    shown = ana.slash("history", {"since": "2000-01-01", "until": "2000-01-31"})
    assert "There are none." in texts(shown.wait_until_answered())
    wrong = ana.slash("history", {"since": "yesterday"}).wait_until_answered()
    assert wrong.content == "A day must be written like 2026-02-28."

    shown = ana.slash("history", {"status": "completed"}).wait_until_answered()
    opened = ana.select(shown, "Open one", str(film.id)).wait_until_answered()
    assert opened.is_ephemeral
    [attached] = opened.attachments
    assert attached.content[4:8] == b"ftyp"
    assert str(film.id) in texts(opened)

    assert ana.click(opened, "Archive").wait_until_answered().content == sentences.ARCHIVED
    assert "There are none." in texts(ana.slash("history").wait_until_answered())
    archived = ana.slash("history", {"archived": True}).wait_until_answered()
    assert listed(archived) == [KITE]
    details = ana.slash("video", {"id": f"`{film.id}`"}).wait_until_answered()
    assert ana.click(details, "Restore").wait_until_answered().content == sentences.RESTORED
    assert listed(ana.slash("history").wait_until_answered()) == [KITE]
    assert ana.slash("video", {"id": "kite"}).wait_until_answered().content == sentences.NO_ID


def test_what_is_deleted_is_in_no_list(bot: Studio, ana: Person) -> None:
    film = make(bot, ana)
    with bot.system.database.begin() as conn:
        keeping.delete(conn, film.id, by="test")
    assert "There are none." in texts(ana.slash("history").wait_until_answered())
    shown = ana.slash("video", {"id": str(film.id)}).wait_until_answered()
    assert shown.content == sentences.NO_SUCH_VIDEO


def test_ev1_a_video_that_came_late_is_one_like_any_other(bot: Studio, ana: Person) -> None:
    prefix = bot.system.videos / "late"
    prefix.mkdir()
    (prefix / "sample_0.mp4").write_bytes(b"0000ftyp")
    bot.admit(ana, KITE)
    [row] = bot.requests_of(ana)
    with bot.system.database.begin() as conn:
        leases.claim(conn, row.id, uuid4(), lease=timedelta(hours=1))
        moves.give_up_search(conn, row.id, message="Generation timed out after 5 minutes")
        address = (prefix / "sample_0.mp4").as_uri()
        assert late_results.found(conn, row.id, prefix.as_uri(), [address])
    shown = ana.slash("history").wait_until_answered()
    assert "came late" in texts(shown)
    opened = ana.select(shown, "Open one", str(row.id)).wait_until_answered()
    assert [each.content for each in opened.attachments] == [b"0000ftyp"]
    for words in ("timeout", "Generation timed out after 5 minutes", embeds.LATE):
        assert words in texts(opened)
    wait_until_said(ana.click(opened, "Again"), "goes into the queue")
    again = ana.slash("video", {"id": str(row.id)}).wait_until_answered()
    assert ana.click(again, "Remix").wait_until_answered().callback is Callback.MODAL
    ana.click(again, "Delete").wait_for_text("It is deleted.")
    assert bot.system.row(row.id).deleted_at is not None


def test_outside_of_servers(bot: Studio, discord: FakeDiscord) -> None:
    zoe = discord.new_person("zoe")
    film = make(bot, zoe)
    assert (film.guild_id, film.status) == ("dm", Status.COMPLETED)
    zoe.click(post(bot, zoe, film), "Delete").wait_for_text("It is deleted.")


# --- One's data -----------------------------------------------------------------------------


def test_everything_as_a_file_and_forgotten(bot: Studio, ana: Person) -> None:
    film = make(bot, ana)
    shown = ana.slash("mydata export").wait_until_answered()
    assert shown.is_ephemeral
    [file] = shown.attachments
    kept = json.loads(file.content)
    assert (file.filename, kept["user_id"]) == ("mydata.json", str(ana.id))
    [request] = kept["requests"]
    assert (request["id"], request["prompt"]) == (str(film.id), KITE)
    assert {each["request_id"] for each in kept["events"]} == {str(film.id)}

    asked = ana.slash("mydata forget").wait_for_text(sentences.FORGET_ALL)
    ana.click(asked, "Keep it")
    asked.wait_for_text(sentences.KEPT)
    assert bot.requests_of(ana)
    assert not asked.components

    asked = ana.slash("mydata forget").wait_for_text(sentences.FORGET_ALL)
    ana.click(asked, "Delete everything")
    asked.wait_for_text("1 of your requests are deleted.")
    assert not [row.prompt for row in bot.requests_of(ana) if row.prompt]
    assert "There are none." in texts(ana.slash("history").wait_until_answered())
    assert not [*bot.system.videos.glob(f"{film.id}/*.mp4")]
    # What it cost of the limits stays.
    assert "1 of 1000000 used" in texts(ana.slash("quota").wait_until_answered())
