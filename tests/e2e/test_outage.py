"""Without Postgres: asked for, made, delivered, and written down afterwards (DG1 to DG3).

One worker goes through all the outages; each is over when what was to happen in it was seen.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import pytest

from db import limits
from db.records import ReplyTo
from db.states import Status
from tests.e2e.delivery import Asked, Studio, new_studio
from tests.e2e.discord import Callback, FakeDiscord, Guild, Person, fake_discord
from tests.e2e.going import Point, closed, make_gates, prompt_of
from tests.workers.broker import QUEUES, altered
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.running import Worker
from tests.workers.waiting import until
from workers import admitting, cancelling, chain, privacy
from workers.app import app

OPEN, SECRET = (
    "A long corridor of doors, each a little smaller th",
    "an the one before it: Persephone",
)
WHOLE = ["created", "generating", "completed", "delivered"]


@pytest.fixture(scope="module")
def studio(make_shared_system: MakeSystem) -> Iterator[Studio]:
    """A Discord, and a worker for whom a video takes a second."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(stack, make_shared_system, discord, SANDBOX_SECONDS=1)
        make_gates(found.system)
        found.system.start_worker()
        yield found
        assert not discord.unexpected


@pytest.fixture
def discord(studio: Studio) -> FakeDiscord:
    return studio.discord


def wait_until_answered(studio: Studio, asked: Asked) -> None:
    studio.wait(lambda: asked.answer.attachments, "the video is in the answer")


def check(studio: Studio, *asked: Asked) -> None:
    """Each was paid for once, answered once, and its history is complete."""
    system = studio.system
    for each in asked:
        studio.wait_until_delivered(each)
    system.wait_until_quiet()
    calls = system.calls()
    for each in asked:
        assert calls[each.id] == 1
        assert system.story(each.id) == WHOLE
        assert len(studio.answers(each)) == 1
        row = system.row(each.id)
        moments = [event.created_at for event in system.events(each.id)]
        assert moments == [row.created_at, row.started_at, row.completed_at, row.delivered_at]
        assert moments == sorted(moments)
        assert row.operation_name is not None
        assert row.status is Status.COMPLETED
        assert row.video_urls is not None
        assert (row.counted, row.billed) == (True, True)


def used(studio: Studio, person: Person) -> int:
    with studio.system.database.begin() as conn:
        return limits.get_rate_limit_info(conn, str(person.id), 100).used


def test_what_is_asked_for_is_made_delivered_and_written_down_afterwards(
    studio: Studio, ana: Person
) -> None:
    system = studio.system
    with system.watch() as watch:
        with system.postgres_away():
            begin = datetime.now(UTC)
            asked = studio.ask(ana, prompt=OPEN + SECRET)
            wait_until_answered(studio, asked)
            about = {"request_id": str(asked.id)}
            studio.wait(lambda: system.worker.said("request_delivered", **about), "that is known")
            messages = until(system.broker.messages, what="it waits to be written")
            end = datetime.now(UTC)
        check(studio, asked)
        told = json.dumps(watch.events, default=str)
    row = system.row(asked.id)
    # The times are those of the outage.
    assert row.completed_at is not None
    assert row.delivered_at is not None
    assert begin < row.created_at < row.completed_at < row.delivered_at < end
    assert (row.prompt, row.provider) == (OPEN + SECRET, "sandbox")
    assert used(studio, ana) == 1
    [error] = [each for each in system.lines_about(asked.id) if each["level"] == "error"]
    context = {name: error[name] for name in ("user_id", "guild_id", "channel_id")}
    assert context == {name: getattr(row, name) for name in context}
    assert error["parameters"]["duration_seconds"] == 4
    [warning] = system.worker.said("Rate limiting degraded", **about)
    assert warning["level"] == "warning"
    # Neither the log, nor Flower, nor what would be seen of waiting tasks shows any secret.
    for shown in (system.log, told, str(messages)):
        assert "Persephone" not in shown
        assert asked.answer.token not in shown
    assert OPEN not in told + str(messages)


TELLING = [
    (Point.START, False),
    (Point.TAKE_UP, True),
    (Point.COMPLETION, True),
    (Point.DELIVERY, True),
    (Point.DELIVERED, True),
]
STEPS = [
    pytest.param(
        point,
        is_long,
        id=f"{point}-{'long' if is_long else 'short'}",
        marks=() if (point, is_long) in TELLING else pytest.mark.long,
    )
    for point in Point
    for is_long in (True, False)
]


@pytest.mark.parametrize(("point", "is_long"), STEPS)
def test_dg2_postgres_goes_at_a_step_of_a_request(
    studio: Studio, ana: Person, point: Point, is_long: bool
) -> None:
    """And stays away until the request is answered, or comes back as soon as it was missed."""
    with gone_at(point, studio, ana) as asked:
        if is_long:
            wait_until_answered(studio, asked)
    check(studio, asked)


@contextmanager
def gone_at(point: Point, studio: Studio, person: Person) -> Iterator[Asked]:
    """Postgres goes at a step of a request, and is away for the block and until it is missed."""
    system = studio.system
    about = len(system.worker.lines)
    with closed(system, point) as gate:
        asked = studio.ask(person, prompt=prompt_of(point))
        gate.wait()
        with system.postgres_away():
            yield asked
            studio.wait(lambda: missed(system, since=about), "Postgres is missed")


def missed(system: System, *, since: int) -> bool:
    """Whether the worker has found Postgres away."""
    tells = ("request_goes_on_unwritten", "sweep_failed")
    return any(line["event"] in tells for line in system.worker.lines[since:])


def test_whoever_has_seen_a_request_has_it_go_on_though_no_task_comes_to_him(
    studio: Studio, ana: Person, make_system: MakeSystem
) -> None:
    """Celery gives the tasks of a quiet worker to one of its children, always the same."""
    with ExitStack() as stack:
        quiet = new_studio(stack, make_system, studio.discord, SANDBOX_SECONDS=5)
        system = quiet.system
        other, whoever = (system.start_worker(concurrency=1) for _ in range(2))
        have_work(system, other, is_wanted=False)
        asked = quiet.ask(ana)
        system.wait_for_row(asked.id, lambda row: row.status is Status.GENERATING)
        have_work(system, whoever, is_wanted=False)
        have_work(system, other, is_wanted=True)
        with system.postgres_away():
            wait_until_answered(quiet, asked)
        assert whoever.said("request_goes_on_unwritten", request_id=str(asked.id))
        check(quiet, asked)


def test_a_postgres_that_only_reads_is_away_too(
    studio: Studio, ana: Person, make_system: MakeSystem
) -> None:
    """As at a failover: it answers whoever only asks."""
    with ExitStack() as stack:
        # As it is by default: the first step without Postgres waits for a hiccup to pass.
        lasting = new_studio(stack, make_system, studio.discord, RESCUE_AFTER_SECONDS=30)
        lasting.system.start_worker()
        with lasting.system.postgres_read_only():
            asked = lasting.ask(ana)
            wait_until_answered(lasting, asked)
        check(lasting, asked)


def test_no_refusal_takes_the_place_of_a_video_that_was_made_meanwhile(
    studio: Studio, ana: Person
) -> None:
    """Of two messages of a request one went on alone, and a limit has refused the other."""
    system = studio.system
    with system.postgres_away():
        asked = studio.ask(ana)
        wait_until_answered(studio, asked)
        reply_to = ReplyTo(str(studio.discord.world.application_id), asked.answer.token)
        with system.broker.in_use():
            chain.refuse(studio.request(ana, id=asked.id), "No.", reply_to=reply_to)
        about = {"request_id": str(asked.id)}
        studio.wait(lambda: system.worker.said("refusal_dropped", **about), "it is dropped")
    check(studio, asked)
    assert asked.answer.attachments
    # Of what nobody makes it is told at any time.
    refused = ana.slash("veo", {"prompt": "a red fox"})
    assert studio.raw.answer(refused, Callback.DEFERRED_MESSAGE).status_code == 204
    with system.broker.in_use():
        reply_to = ReplyTo(str(studio.discord.world.application_id), refused.token)
        chain.refuse(studio.request(ana), "No.", reply_to=reply_to)
    refused.wait_for_text("No.")


@pytest.mark.parametrize("is_forgotten", [False, True], ids=["deleted", "forgotten"])
def test_vd3_what_was_deleted_just_before_is_not_shown(
    studio: Studio, ana: Person, make_system: MakeSystem, *, is_forgotten: bool
) -> None:
    """By whoever remembers it, and has not heard of that."""
    with ExitStack() as stack:
        slow = new_studio(stack, make_system, studio.discord, SANDBOX_SECONDS=3)
        system = slow.system
        worker = system.start_worker(concurrency=1)
        asked = slow.ask(ana)
        system.wait_for_row(asked.id, lambda row: row.status is Status.GENERATING)
        worker.freeze()
        storage = system.context.storage
        if is_forgotten:
            privacy.forget(system.database, storage, str(ana.id), is_counted=True)
        else:
            with system.database.begin() as conn:
                cancelling.delete(conn, storage, asked.id, by=str(ana.id), is_counted=True)
        with system.postgres_away():
            worker.thaw()
            about = {"request_id": str(asked.id)}
            until(lambda: worker.said("answer_is_anothers", **about), what="nobody may give it")
        system.wait_until_quiet()
        assert not [each for each in asked.answer.history if each.attachments]
        assert not ana.pings


def have_work(system: System, worker: Worker, *, is_wanted: bool) -> None:
    """Have a worker take tasks, or no more of them."""
    with system.broker.in_use():
        tell = app.control.add_consumer if is_wanted else app.control.cancel_consumer
        for queue in QUEUES:
            assert tell(queue, destination=[worker.name], reply=True, timeout=30)


def test_what_was_admitted_and_not_started_is_started_without_postgres(
    studio: Studio, ana: Person
) -> None:
    system = studio.system
    answer = ana.slash("veo", {"prompt": "a red fox"})
    assert studio.raw.answer(answer, Callback.DEFERRED_MESSAGE).status_code == 204
    new = studio.request(ana)
    asked = Asked(new.id, ana, answer)
    reply_to = ReplyTo(str(studio.discord.world.application_id), answer.token)
    [(queue, raw)] = system.broker.record(lambda: chain.enqueue(new, reply_to=reply_to))
    admitted = admitting.admit(system.context, new, reply_to=reply_to)
    assert admitted.is_allowed
    with system.postgres_away():
        system.broker.deliver(queue, altered(raw, task="start_generation"))
        wait_until_answered(studio, asked)
    check(studio, asked)


def test_a_death_in_the_outage_pays_for_nothing_again(studio: Studio, ana: Person) -> None:
    system = studio.system
    with system.postgres_away():
        asked = studio.ask(ana)
        studio.wait(lambda: system.calls()[asked.id], "the call is made")
        for child in system.worker.children():
            os.kill(child, signal.SIGKILL)
        wait_until_answered(studio, asked)
    studio.wait_until_delivered(asked)
    system.wait_until_quiet()
    assert system.calls()[asked.id] == 1
    assert len(studio.answers(asked)) == 1
    assert system.story(asked.id) == WHOLE


@pytest.mark.parametrize("crowd", [2, pytest.param(8, marks=pytest.mark.long)])
def test_a_crowd_in_an_outage(
    studio: Studio, discord: FakeDiscord, guild: Guild, crowd: int
) -> None:
    """Everybody asks five times, twice before it begins."""
    people = [discord.new_person(f"person {number}", guild) for number in range(crowd)]
    asked = [studio.ask(each) for each in people for _ in range(2)]
    studio.wait(lambda: studio.system.calls()[asked[3].id], "some are being made")
    with studio.system.postgres_away():
        later = [studio.ask(each) for each in people for _ in range(3)]
        until(
            lambda: all(each.answer.attachments for each in later), what="all are made", within=90
        )
    check(studio, *later)
    for each in asked:
        studio.wait_until_delivered(each)
        assert studio.system.calls()[each.id] == 1
        assert studio.system.story(each.id) == WHOLE
        assert len(studio.answers(each)) == 1
    assert {used(studio, each) for each in people} == {5}


@pytest.fixture(scope="module")
def refusing(studio: Studio, make_shared_system: MakeSystem) -> Iterator[Studio]:
    """In the same Discord, one that makes nothing without Postgres."""
    with ExitStack() as stack:
        given = {"DATABASE_OUTAGE": "refuse", "SANDBOX_SECONDS": 1}
        found = new_studio(stack, make_shared_system, studio.discord, **given)
        make_gates(found.system)
        found.system.start_worker()
        yield found


@pytest.mark.parametrize("point", Point)
def test_whoever_refuses_loses_nothing_that_only_a_task_knows(
    refusing: Studio, ana: Person, point: Point
) -> None:
    """That a call was made, an end seen, or the answer sent."""
    system = refusing.system
    about = len(system.worker.lines)
    with gone_at(point, refusing, ana) as asked:
        refusing.wait(lambda: waits(system, since=about), "it waits for Postgres")
    check(refusing, asked)
    assert len([each for each in asked.answer.history if each.attachments]) == 1


def waits(system: System, *, since: int) -> bool:
    """Whether a task is held, to be tried again."""
    tries = ("retry: Retry in", "request_goes_on_unwritten")
    return any(each in str(line) for line in system.worker.lines[since:] for each in tries)


def test_whoever_refuses_makes_nothing_before_postgres_is_back(
    studio: Studio, refusing: Studio
) -> None:
    system = refusing.system
    about = len(system.worker.lines)
    new = studio.request(studio.discord.new_person("bo", studio.discord.new_guild()))
    with system.postgres_away():
        system.submit(new)
        until(lambda: waits(system, since=about), what="it is tried again")
        assert not system.has_marker(new.id)
    [row] = system.wait_until_ended([new.id])
    assert row.status is Status.COMPLETED
    assert not system.worker.said("Rate limiting degraded")
