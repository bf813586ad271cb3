"""Videos that appear after the timeout: delivered once more, with an apology (EV1)."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from db import keeping
from db.states import Status
from tests.e2e.delivery import EDITS, EVERY_TIME, Asked, Studio, buttons, new_studio
from tests.e2e.discord import FakeDiscord, Guild, Permission, Person, When, fake_discord
from tests.e2e.discord.rest.faults import Ending
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until

WRITES = "POST /channels/*"
LEASE_IS_OVER = "UPDATE late_results SET delivery_due_at = now() WHERE request_id = :id"
SORRY = "your video took longer than 1 second, but here it is. Sorry for the wait!"


@pytest.fixture(scope="module")
def studio(make_shared_system: MakeSystem) -> Iterator[Studio]:
    """One Discord, one system and one worker, whose videos all miss their time."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(
            stack,
            make_shared_system,
            discord,
            SANDBOX_SECONDS=3600,
            GENERATION_TIMEOUT_SECONDS=1,
            RESCUE_AFTER_SECONDS=1,
        )
        found.system.start_worker()
        yield found
        assert not discord.unexpected


@pytest.fixture
def discord(studio: Studio) -> FakeDiscord:
    return studio.discord


def appear(studio: Studio, asked: Asked) -> bytes:
    """The video is there now; what it is."""
    video = studio.system.videos / str(asked.id) / "sample_0.mp4"
    os.utime(video)
    return video.read_bytes()


def late(studio: Studio, asked: Asked) -> dict[str, object]:
    """What is told of the second delivery, once there is one."""

    def look() -> list[dict[str, object]]:
        return [each for each in studio.told(asked, "delivered") if each.get("late")]

    [told] = until(look, what="the late video is delivered")
    return told


def waits(studio: Studio, asked: Asked) -> bool:
    """Whether its video is there and has not been delivered."""
    question = "SELECT delivery_due_at IS NOT NULL FROM late_results WHERE request_id = :id"
    with studio.system.database.autocommit() as conn:
        return bool(conn.execute(text(question), {"id": asked.id}).scalar_one())


def time_out(studio: Studio, person: Person, *, has_token: bool = True) -> Asked:
    """A request whose person was told that it took too long."""
    asked = studio.ask(person, has_token=has_token)
    assert studio.wait_until_delivered(asked)["video"] is None
    return asked


def test_ev1_a_late_video_is_delivered_once_with_an_apology(studio: Studio, ana: Person) -> None:
    asked = time_out(studio, ana)
    before, history = studio.system.row(asked.id), asked.answer.history
    video = appear(studio, asked)
    told = {"how": "channel", "video": "attached", "attempts": 1, "detours": [], "late": True}
    assert late(studio, asked) == told
    studio.system.wait_until_quiet()
    row = studio.system.row(asked.id)
    assert row.status is Status.TIMEOUT
    for same in ("error_code", "error_message", "completed_at", "duration_ms", "delivered_at"):
        assert getattr(row, same) == getattr(before, same)
    assert studio.system.story(asked.id)[2:] == [
        "timeout",
        "delivered",
        "late_result",
        "delivered",
    ]
    assert studio.told(asked, "late_result") == [{"videos": 1, "billed_after_all": False}]
    assert studio.system.calls()[asked.id] == 1
    # The first answer stays as it was, and there is one message more.
    assert "Generation timed out after 1 second" in asked.answer.content
    assert asked.answer.history == history
    assert len(studio.answers(asked)) == 2
    [message] = ana.pings
    assert message.content.startswith(f"{ana.mention} {SORRY}\n")
    assert "a lighthouse in a storm" in message.content.lower()
    assert [each.content for each in message.attachments] == [video]
    assert message.nonce == f"late{asked.id.hex}"[:25]
    assert buttons(message.components) == {
        "Remix": f"video:remix:{asked.id}",
        "Again": f"video:again:{asked.id}",
        "Delete": f"video:delete:{asked.id}",
    }
    assert studio.tokens() == 0
    assert studio.system.worker.said("late_result_found", request_id=str(asked.id))
    assert studio.system.worker.said("request_delivered", request_id=str(asked.id), late=True)


def test_the_apology_comes_after_the_first_answer(studio: Studio, ana: Person) -> None:
    fault = studio.discord.faults.refuse(EDITS, 503, times=EVERY_TIME)
    asked = studio.ask(ana)
    fault.wait_until_reached(2)
    until(lambda: studio.told(asked, "delivery_failed"), what="the first answer is parked")
    appear(studio, asked)
    until(lambda: studio.told(asked, "late_result"), what="the video is found")
    assert not ana.pings
    fault.release()
    assert late(studio, asked)["attempts"] == 1
    story = [each for each in studio.system.story(asked.id) if each != "delivery_failed"]
    assert story[2:] == ["timeout", "late_result", "delivered", "delivered"]
    # The first answer says what it would have said.
    assert "Generation timed out after 1 second" in asked.answer.content
    assert not asked.answer.attachments
    assert [message.content.split("\n")[0] for message in ana.pings] == [f"{ana.mention} {SORRY}"]


@pytest.mark.parametrize(("when", "has_token"), [(When.RECEIVED, True), (When.APPLIED, False)])
def test_a_child_dies_between_the_apology_and_its_record(
    studio: Studio, ana: Person, when: When, has_token: bool
) -> None:
    asked = time_out(studio, ana, has_token=has_token)
    fault = studio.discord.faults.on_upload(when=when)
    appear(studio, asked)
    fault.wait_until_reached()
    for child in studio.system.worker.children():
        os.kill(child, signal.SIGKILL)
    assert late(studio, asked)["attempts"] == 2
    fault.release()
    said = [message.content for message in ana.pings]
    assert SORRY in said.pop()
    # Where there was no answer to fill, the first one is a message, too, and another one.
    assert ["Generation timed out" in each for each in said] == [True] * (not has_token)
    assert len(studio.answers(asked)) == 2


def test_postgres_goes_between_the_apology_and_its_record(studio: Studio, ana: Person) -> None:
    """And is away for longer than Discord knows a message again."""
    system = studio.system
    asked = time_out(studio, ana)
    fault = studio.discord.faults.on_upload(when=When.APPLIED)
    appear(studio, asked)
    fault.wait_until_reached()
    with system.postgres_away():
        fault.release()
        about = {"request_id": str(asked.id)}
        until(
            lambda: system.worker.said("request_goes_on_unwritten", **about),
            what="it cannot be written",
        )
        end = datetime.now(UTC)
        [message] = ana.pings
        message.nonce = None
    assert late(studio, asked)["attempts"] == 1
    system.wait_until_quiet()
    assert ana.pings == [message]
    # Its time is that of the outage.
    assert system.events(asked.id)[-1].created_at < end


def test_postgres_goes_when_the_apology_was_not_taken(studio: Studio, ana: Person) -> None:
    """What could not be sent is not written down as sent, but sent when it can be."""
    system = studio.system
    asked = time_out(studio, ana)
    fault = studio.discord.faults.on_upload()
    video = appear(studio, asked)
    fault.wait_until_reached()
    with system.postgres_away():
        fault.status, fault.retry_after = 429, 1.0
        fault.release(Ending.REFUSED)
        about = {"request_id": str(asked.id)}
        until(
            lambda: system.worker.said("request_goes_on_unwritten", **about),
            what="it cannot be written",
        )
    until(lambda: system.worker.said("request_written_afterwards", **about), what="it is written")
    assert waits(studio, asked)
    with system.database.begin() as conn:
        conn.execute(text(LEASE_IS_OVER), {"id": asked.id})
    assert late(studio, asked)["video"] == "attached"
    system.wait_until_quiet()
    [message] = ana.pings
    assert [each.content for each in message.attachments] == [video]


def test_vd3_of_what_was_deleted_meanwhile_nothing_is_sent(studio: Studio, ana: Person) -> None:
    before, after = time_out(studio, ana), time_out(studio, ana)
    fault = studio.discord.faults.refuse(WRITES, 503, times=EVERY_TIME)

    def delete(asked: Asked) -> None:
        with studio.system.database.begin() as conn:
            keeping.delete(conn, asked.id, by=str(ana.id))

    delete(before)
    appear(studio, before)
    until(lambda: studio.told(before, "late_result"), what="it is found all the same")
    appear(studio, after)
    fault.wait_until_reached(2)
    delete(after)
    until(lambda: not waits(studio, after), what="it is dropped")
    fault.release()
    studio.system.wait_until_quiet()
    assert not ana.pings
    for asked in (before, after):
        assert [each.get("late") for each in studio.told(asked, "delivered")] == [None]
        assert len(studio.answers(asked)) == 1


@pytest.mark.parametrize("denied", [Permission.SEND_MESSAGES, Permission.ATTACH_FILES])
def test_where_the_bot_may_not_write_the_answer_is_changed(
    studio: Studio, discord: FakeDiscord, guild: Guild, denied: Permission
) -> None:
    channel = discord.new_channel(guild, "quiet", denied=denied)
    bob = discord.new_person("bob", guild).at(channel)
    asked = time_out(studio, bob)
    video = appear(studio, asked)
    told = late(studio, asked)
    assert len(studio.answers(asked)) == len(bob.pings) + 1
    if denied is Permission.SEND_MESSAGES:
        assert (told["how"], told["video"]) == ("edit", "attached")
        assert asked.answer.content.startswith(f"{bob.mention} {SORRY}")
        assert [each.content for each in asked.answer.attachments] == [video]
    else:
        assert (told["how"], told["video"]) == ("channel", "elsewhere")
        assert str(asked.id) in bob.pings[0].content
    assert studio.tokens() == 0


def test_a_deleted_channel_is_given_up(studio: Studio, discord: FakeDiscord, guild: Guild) -> None:
    channel = discord.new_channel(guild, "films")
    bob = discord.new_person("bob", guild).at(channel)
    asked = time_out(studio, bob)
    discord.delete_channel(channel)
    appear(studio, asked)
    [told] = until(lambda: studio.told(asked, "delivery_failed"), what="it is given up")
    assert (told["gave_up"], told["late"]) == (True, True)
    assert studio.tokens() == 0
