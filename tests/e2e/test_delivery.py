"""The worker's side of Discord: the one answer to a request, whatever happens (DC2, VD3, RL3)."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import text

from db import keeping
from db.records import ReplyTo
from db.states import Status
from tests.db.rows import new_request
from tests.e2e.delivery import EDITS, EVERY_TIME, Studio, buttons, new_studio
from tests.e2e.discord import FakeDiscord, Guild, Permission, Person, fake_discord
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until
from workers import chain, delivering

NASTY = [
    "@everyone <@&1> <@{other}> ping them all",
    "**bold** `code` ```block``` ||spoiler|| [link](https://evil.example) # head > quote",
    "😀" * 600,
    "\u202eright to left \u2067 and never back",
    "a\n@here\n# big\n- list\n> quote https://evil.example",
    "\\" * 600,
]


@pytest.fixture(scope="module")
def studio(make_shared_system: MakeSystem) -> Iterator[Studio]:
    """One Discord, one system and one worker, in which everything goes well by itself."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(stack, make_shared_system, discord, RESCUE_AFTER_SECONDS=1)
        found.system.start_worker()
        yield found
        assert not discord.unexpected


@pytest.fixture(scope="module")
def failing(studio: Studio, make_shared_system: MakeSystem) -> Iterator[Studio]:
    """One whose videos are all held back, and where nobody may ask twice."""
    with ExitStack() as stack:
        found = new_studio(
            stack,
            make_shared_system,
            studio.discord,
            SANDBOX_OUTCOME="filtered",
            DAILY_LIMIT=1,
            RESCUE_AFTER_SECONDS=1,
        )
        found.system.start_worker()
        yield found


@pytest.fixture
def discord(studio: Studio) -> FakeDiscord:
    return studio.discord


def test_dc2_the_video_is_attached_to_the_answer(studio: Studio, ana: Person) -> None:
    asked = studio.ask(ana, prompt="a red fox in the snow")
    told = studio.wait_until_delivered(asked)
    assert told == {"how": "edit", "video": "attached", "attempts": 1, "detours": []}
    answer = asked.answer
    [video] = answer.attachments
    row = studio.system.row(asked.id)
    assert video.content == (studio.system.videos / str(asked.id) / "sample_0.mp4").read_bytes()
    assert (video.filename, video.content_type) == (f"{asked.id}.mp4", "video/mp4")
    assert answer.content.startswith(f"{ana.mention} ")
    for words in ("a red fox in the snow", "4 s · 16:9 · 720p · audio off", "took "):
        assert words in answer.content
    assert "$" not in answer.content
    assert answer.message.mentions == {ana.user}
    assert buttons(answer.components) == {
        "Remix": f"video:remix:{asked.id}",
        "Again": f"video:again:{asked.id}",
        "Delete": f"video:delete:{asked.id}",
    }
    assert (row.delivery_due_at, row.delivery_claim, row.delivery_attempts) == (None, None, 1)
    assert studio.tokens() == 0
    about = {"request_id": str(asked.id)}
    until(lambda: studio.system.worker.said("request_delivered", **about), what="it is told")


def test_dc2_a_failure_says_why_and_what_would_help(failing: Studio, ana: Person) -> None:
    asked = failing.ask(ana)
    assert failing.wait_until_delivered(asked)["video"] is None
    assert asked.answer.content.startswith(f"{ana.mention} ")
    assert "held back by the safety filter" in asked.answer.content
    assert "Retry" in asked.answer.content
    assert buttons(asked.answer.components) == {"Retry": f"video:retry:{asked.id}"}
    assert not asked.answer.attachments


def test_rl3_a_refusal_says_when_to_come_back(failing: Studio, ana: Person) -> None:
    failing.wait_until_delivered(failing.ask(ana))
    refused, wrong = failing.ask(ana).answer, failing.ask(ana, prompt="four").answer
    refused.wait_for_text("The one video of the last 24 hours is used.")
    assert "The next one comes free at" in refused.content
    wrong.wait_for_text("The prompt must have 5 to 600 characters; this one has 4.")
    for each in (refused, wrong):
        assert each.content.startswith(f"{ana.mention} ")
        assert not each.components


def test_rl3_a_refusal_that_comes_late_takes_the_place_of_no_answer(
    studio: Studio, ana: Person
) -> None:
    """It was put off; meanwhile the request was sent again, and there was room for it."""
    asked = studio.ask(ana)
    studio.wait_until_delivered(asked)
    told = asked.answer.content
    reply_to = ReplyTo(str(studio.discord.world.application_id), asked.answer.token)
    with studio.system.broker.in_use():
        chain.refuse(studio.request(ana, id=asked.id), "No.", reply_to=reply_to)
    about = {"request_id": str(asked.id)}
    studio.wait(lambda: studio.system.worker.said("refusal_dropped", **about), "it is dropped")
    assert asked.answer.content == told
    assert asked.answer.attachments


@pytest.mark.parametrize("has_token", [True, False])
def test_dc2_the_one_who_asked_is_mentioned_and_nobody_else(
    failing: Studio, has_token: bool
) -> None:
    discord = failing.discord
    guild = discord.new_guild(bot_permissions=Permission.MENTION_EVERYONE)
    other = discord.new_person("other", guild)
    everybody = [discord.new_person(f"ana {number}", guild) for number in range(len(NASTY))]
    nasty = [each.format(other=other.id) for each in NASTY]
    for prompt, asked in [
        (prompt, failing.ask(person, has_token=has_token, prompt=prompt))
        for person, prompt in zip(everybody, nasty, strict=True)
    ]:
        failing.wait_until_delivered(asked)
        ana = asked.person
        if has_token:
            message = asked.answer.message
            assert not ana.pings
        else:
            [message] = ana.pings
        assert message.mentions == {ana.user}, prompt
        assert not message.pings.has_everyone
        assert message.content.startswith(f"{ana.mention} ")
        assert len(message.content) <= 2000
    assert not other.pings


def test_dc2_a_dead_token(studio: Studio, ana: Person) -> None:
    for code in (50027, 10015):
        studio.discord.faults.refuse(EDITS, 401 if code == 50027 else 404, code=code)
        asked = studio.ask(ana)
        told = studio.wait_until_delivered(asked)
        assert (told["how"], told["video"]) == ("channel", "attached")
        assert str(code) in told["detours"][0]
        [message] = ana.pings[-1:]
        assert message.attachments
        assert message.nonce == asked.id.hex[:25]
        assert len(studio.answers(asked)) == 1


def test_dc2_a_deleted_answer_is_written_anew(studio: Studio, ana: Person) -> None:
    fault = studio.discord.faults.on_upload()
    asked = studio.ask(ana)
    fault.wait_until_reached()
    assert studio.raw.follow("DELETE", asked.answer).status_code == 204
    fault.release()
    assert studio.wait_until_delivered(asked)["how"] == "channel"
    assert len(ana.pings) == 1


def test_dc2_a_deleted_channel_is_given_up(
    studio: Studio, discord: FakeDiscord, guild: Guild
) -> None:
    channel = discord.new_channel(guild, "films")
    bob = discord.new_person("bob", guild).at(channel)
    fault = discord.faults.hang(EDITS)
    asked = studio.ask(bob)
    fault.wait_until_reached()
    discord.delete_channel(channel)
    fault.release()
    until(lambda: studio.told(asked, "delivery_failed"), what="it is given up")
    [told] = studio.told(asked, "delivery_failed")
    assert told["gave_up"]
    assert "10003" in told["reason"]
    row = studio.system.row(asked.id)
    assert (row.delivered_at, row.delivery_due_at) == (None, None)
    assert row.status is Status.COMPLETED
    assert studio.tokens() == 0


def test_dc2_a_channel_where_the_bot_may_not_attach(
    studio: Studio, discord: FakeDiscord, guild: Guild
) -> None:
    quiet = discord.new_channel(guild, "quiet", denied=Permission.ATTACH_FILES)
    bob = discord.new_person("bob", guild).at(quiet)
    asked = studio.ask(bob, has_token=False)
    told = studio.wait_until_delivered(asked)
    assert (told["how"], told["video"]) == ("channel", "elsewhere")
    [message] = bob.pings
    assert str(asked.id) in message.content
    assert str(studio.system.videos) not in message.content


def test_dc2_too_large_for_discord(studio: Studio, ana: Person) -> None:
    studio.discord.faults.refuse(EDITS, 413, code=40005)
    asked = studio.ask(ana)
    told = studio.wait_until_delivered(asked)
    assert (told["how"], told["video"]) == ("edit", "too_large")
    assert "40005" in told["detours"][0]
    assert not asked.answer.attachments
    assert (
        f"too large to be attached. It is kept; an operator finds it by its number: `{asked.id}`"
        in (asked.answer.content)
    )


def test_dc2_a_limit_is_waited_for(studio: Studio, ana: Person) -> None:
    studio.discord.faults.rate_limit(EDITS, retry_after=0.7)
    asked = studio.ask(ana)
    told = studio.wait_until_delivered(asked)
    assert (told["how"], told["video"], told["attempts"]) == ("edit", "attached", 2)
    [failed] = studio.told(asked, "delivery_failed")
    assert (failed["reason"], failed["gave_up"]) == (
        "Discord answered 429, retry after 0.7 s",
        False,
    )
    refused, answered = studio.discord.ledger.entries(EDITS)[-2:]
    assert answered.at - refused.at >= 0.7


def test_dc2_five_times_500(studio: Studio, ana: Person) -> None:
    studio.discord.faults.refuse(EDITS, 500, times=5)
    asked = studio.ask(ana)
    told = studio.wait_until_delivered(asked)
    assert (told["how"], told["video"], told["attempts"]) == ("edit", "attached", 3)
    assert {each["reason"] for each in studio.told(asked, "delivery_failed")} == {
        "Discord answered 500"
    }
    assert len(studio.answers(asked)) == 1


def test_dc2_a_server_that_hangs(failing: Studio, ana: Person) -> None:
    fault = failing.discord.faults.hang(EDITS)
    asked = failing.ask(ana)
    told = failing.wait_until_delivered(asked)
    assert (told["how"], told["attempts"]) == ("edit", 2)
    [failed] = failing.told(asked, "delivery_failed")
    assert failed["reason"] == "Discord did not answer in time"
    assert len(failing.answers(asked)) == 1
    fault.release()


def test_vd3_what_was_deleted_is_not_delivered(studio: Studio, ana: Person) -> None:
    fault = studio.discord.faults.refuse(EDITS, 500, times=EVERY_TIME)
    asked = studio.ask(ana)
    fault.wait_until_reached(2)
    with studio.system.database.begin() as conn:
        keeping.delete(conn, asked.id, by=str(ana.id))
    studio.system.wait_for_row(asked.id, lambda row: row.delivery_due_at is None)
    fault.release()
    assert studio.system.row(asked.id).delivered_at is None
    assert not asked.answer.history
    assert studio.tokens() == 0


def test_nobody_is_written_to_from_the_command_line(studio: Studio) -> None:
    before = studio.discord.ledger.count()
    [request_id] = studio.system.submit(
        new_request(user_id="cli", guild_id="cli", channel_id="cli", generate_audio=False)
    )
    [row] = studio.system.wait_until_ended([request_id])
    studio.system.wait_until_quiet()
    assert (row.status, row.delivery_due_at) == (Status.COMPLETED, None)
    assert studio.system.story(request_id) == ["created", "generating", "completed"]
    assert studio.discord.ledger.count() == before


def test_two_deliver_tasks_at_once_send_once(studio: Studio, ana: Person) -> None:
    fault = studio.discord.faults.on_upload()
    asked = studio.ask(ana)
    fault.wait_until_reached()
    with studio.system.broker.in_use():
        for _ in range(3):
            chain.deliver(asked.id)
    until(
        lambda: not [m for m in studio.system.broker.messages() if not m.is_held],
        what="all are taken",
    )
    fault.release()
    studio.wait_until_delivered(asked)
    studio.system.wait_until_quiet()
    assert len(asked.answer.history) == 1
    assert studio.system.row(asked.id).delivery_attempts == 1


def test_delivery_gives_up_in_the_end(studio: Studio, ana: Person) -> None:
    fault = studio.discord.faults.refuse(EDITS, 503, times=EVERY_TIME)
    asked = studio.ask(ana)
    until(lambda: studio.told(asked, "delivery_failed"), what="it is parked")
    with studio.system.database.begin() as conn:
        conn.execute(
            text(
                "UPDATE video_requests SET delivery_attempts = :most, delivery_due_at = now()"
                " WHERE id = :id"
            ),
            {"most": delivering.MOST_ATTEMPTS, "id": asked.id},
        )
    until(lambda: studio.told(asked, "delivery_failed")[-1].get("gave_up"), what="it is given up")
    fault.release()
