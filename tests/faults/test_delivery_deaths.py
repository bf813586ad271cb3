"""Death in the middle of a delivery: one answer all the same. And no accident tells a secret."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from sqlalchemy import text

from db.records import ReplyTo
from tests.e2e.delivery import EDITS, Studio, new_studio
from tests.e2e.discord import FakeDiscord, Person, When, fake_discord
from tests.faults.gates import Gates
from tests.faults.points import Death, Point
from tests.workers.broker import altered
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until
from workers import chain

DEATHS = [(when, has_token) for when in When for has_token in (True, False)]


@pytest.fixture(scope="module")
def studio(make_shared_system: MakeSystem) -> Iterator[Studio]:
    """One Discord, one system and one worker that survives what happens to its children."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(
            stack,
            make_shared_system,
            discord,
            DAILY_LIMIT=1,
            LOG_LEVEL="debug",
            RESCUE_AFTER_SECONDS=1,
        )
        found.system.start_worker()
        yield found
        assert not discord.unexpected


@pytest.fixture
def discord(studio: Studio) -> FakeDiscord:
    return studio.discord


@pytest.mark.parametrize(("when", "has_token"), DEATHS)
def test_a_child_dies_between_the_send_and_its_record(
    studio: Studio, ana: Person, when: When, has_token: bool
) -> None:
    fault = studio.discord.faults.on_upload(when=when)
    asked = studio.ask(ana, has_token=has_token)
    fault.wait_until_reached()
    for child in studio.system.worker.children():
        os.kill(child, signal.SIGKILL)
    told = studio.wait_until_delivered(asked)
    fault.release()
    assert (told["how"], told["attempts"]) == ("edit" if has_token else "channel", 2)
    assert len(studio.answers(asked)) == 1
    assert len(ana.pings) == (0 if has_token else 1)
    if has_token:
        assert len(asked.answer.attachments) == 1


def test_a_child_dies_between_the_end_and_its_delivery(studio: Studio, ana: Person) -> None:
    system = studio.system
    with (
        closing(Gates(system.environment["DATABASE_URL"])) as gates,
        gates.closed(Point.COMPLETION, Death.AFTER) as gate,
    ):
        asked = studio.ask(ana, user_id=f"{gates.mark(Point.COMPLETION, Death.AFTER)}{ana.id}")
        gate.kill_after(gate.wait_for(1))
    assert studio.wait_until_delivered(asked)["how"] == "edit"
    assert len(asked.answer.history) == 1
    assert system.story(asked.id)[-2:] == ["completed", "delivered"]


def test_a_message_that_comes_again_brings_no_token_back(studio: Studio, ana: Person) -> None:
    """Its worker died, and its request has been answered long since."""
    asked = studio.ask(ana)
    studio.wait_until_delivered(asked)
    reply_to = ReplyTo(str(studio.discord.world.application_id), asked.answer.token)
    studio.system.submit(studio.request(ana, id=asked.id), reply_to=reply_to)
    studio.system.wait_until_quiet()
    assert studio.tokens() == 0
    assert len(studio.answers(asked)) == 1


def test_lg2_the_token_of_an_answer_is_nowhere_to_be_seen(studio: Studio, ana: Person) -> None:
    """Through every accident, every retry, and messages that nobody understands."""
    discord, system = studio.discord, studio.system
    with system.watch() as watch:
        # Parked by a cut connection, with its token, and delivered with it.
        discord.faults.cut(EDITS, times=2)
        asked = studio.ask(ana)
        until(lambda: studio.told(asked, "delivery_failed"), what="it is parked")
        shown: list[object] = [in_postgres(studio)]
        assert studio.wait_until_delivered(asked)["how"] == "edit"
        # Refused, and told at the second attempt of the task.
        discord.faults.cut(EDITS, times=2)
        refused = studio.ask(ana)
        until(lambda: watch.of_type("task-retried"), what="a task is tried again")
        shown.append(system.inspect("active", "reserved", "scheduled", "conf", "stats"))
        refused.answer.wait_for_text("of the last 24 hours is used")
        # Messages that nobody understands, with the same headers.
        reply_to = ReplyTo(str(discord.world.application_id), asked.answer.token)
        new = studio.request(ana)
        [(queue, raw)] = system.broker.record(lambda: chain.enqueue(new, reply_to=reply_to))
        assert asked.answer.token.encode() in raw
        for strange, complaint in (
            (altered(raw, task="no_such_task"), "unregistered task"),
            (altered(raw, body=b"{"), "decode message body"),
            (altered(raw, video_request={}), "TypeError"),
            (altered(raw, task="deliver_refusal"), "DeliveryBroken"),
        ):
            system.broker.deliver(queue, strange)
            until(lambda: complaint in system.log, what=complaint)  # noqa: B023
        system.wait_until_quiet()
        shown += [list(watch.events), in_postgres(studio), system.log]
    everything = json.dumps(shown, default=str)
    for token in (asked.answer.token, refused.answer.token, discord.token):
        assert token not in everything
    assert asked.answer.token not in repr(reply_to)
    received = {each["name"] for each in watch.of_type("task-received")}
    assert received >= {"create_request", "deliver", "deliver_refusal"}
    assert studio.tokens() == 0


def test_a_worker_dies_and_another_delivers(studio: Studio, ana: Person) -> None:
    """The last of these tests: the worker of all of them dies."""
    fault = studio.discord.faults.on_upload()
    asked = studio.ask(ana)
    fault.wait_until_reached()
    studio.system.worker.kill()
    second = studio.system.start_worker()
    # Whoever it was may still be at it, as long as the lease runs.
    assert studio.system.row(asked.id).delivered_at is None
    studio.make_delivery_due(asked)
    assert studio.wait_until_delivered(asked)["attempts"] == 2
    until(lambda: second.said("request_delivered", request_id=str(asked.id)), what="it is told")
    fault.release()
    assert len(studio.answers(asked)) == 1
    assert len(asked.answer.attachments) == 1


def in_postgres(studio: Studio) -> list[str]:
    """Every row that anybody reads or exports."""
    rows: list[str] = []
    with studio.system.database.autocommit() as conn:
        for table in ("video_requests", "video_events", "user_quotas", "budget_spending"):
            found = conn.execute(text(f"SELECT each::text FROM {table} each"))  # noqa: S608
            rows += found.scalars()
    return rows
