"""Honest progress: what is known, when it changes, and every 15 seconds at most (DC2)."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from math import inf
from threading import Thread
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from db import replies, requests
from db.errors import DatabaseUnavailable
from db.meanwhile import Meanwhile
from db.states import Status
from tests.db.rows import new_request
from tests.e2e.delivery import EDITS, Asked, Studio, new_studio
from tests.e2e.discord import FakeDiscord, Person, fake_discord
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import aftermath, outage, progress

WORDS = "Your video is being made"


@pytest.fixture(scope="module")
def studio(make_shared_system: MakeSystem) -> Iterator[Studio]:
    """A provider that takes its time, and one process that follows it."""
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        found = new_studio(
            stack,
            make_shared_system,
            discord,
            SANDBOX_OUTCOME="never",
            RESCUE_AFTER_SECONDS=1,
            GENERATION_TIMEOUT_SECONDS=600,
            LOG_LEVEL="debug",
        )
        remember(found, [70.0] * 18 + [110.0] * 2)
        found.system.start_worker(concurrency=1)
        yield found
        assert not discord.unexpected


@pytest.fixture
def discord(studio: Studio) -> FakeDiscord:
    return studio.discord


def age(studio: Studio, asked: Asked, seconds: float) -> None:
    """As if that much time had passed since the start, the last edit and the last poll."""
    with studio.system.database.begin() as conn:
        for statement in (
            "UPDATE video_requests SET started_at = started_at - :passed * interval '1 second',"
            " claimed_at = claimed_at - :passed * interval '1 second', due_at = now()"
            " WHERE id = :id",
            "UPDATE reply_tokens SET told_at = told_at - :passed * interval '1 second'"
            " WHERE request_id = :id",
        ):
            conn.execute(text(statement), {"passed": seconds, "id": asked.id})


def polls(studio: Studio, number: int) -> None:
    """Until the sweeper has had so many more polls made, which would have to wait otherwise."""
    said = len([line for line in studio.system.worker.lines if is_poll(line)])

    def are_made() -> bool:
        # Again and again: a poll that is under way puts the next one off.
        with studio.system.database.begin() as conn:
            conn.execute(
                text("UPDATE video_requests SET due_at = now() WHERE status = 'generating'")
            )
        return len([line for line in studio.system.worker.lines if is_poll(line)]) >= said + number

    until(are_made, what=f"{number} more polls")


def is_poll(line: dict[str, object]) -> bool:
    return "Task poll_operation" in str(line["event"]) and "succeeded" in str(line["event"])


def remember(studio: Studio, seconds: list[float]) -> None:
    """Requests of the past that took so long."""
    with studio.system.database.begin() as conn:
        for number, took in enumerate(seconds):
            new = new_request(user_id=f"earlier {number}")
            conn.execute(
                text(
                    "INSERT INTO video_requests (id, user_id, guild_id, channel_id, prompt, model,"
                    " duration_seconds, aspect_ratio, resolution, status, created_at, started_at,"
                    " completed_at, duration_ms) VALUES (:id, :user, 'g', 'c', :prompt, 'sandbox',"
                    " 4, '16:9', '720p', 'completed', now(), now(), now(), :took)"
                ),
                {
                    "id": new.id,
                    "user": new.user_id,
                    "prompt": new.prompt,
                    "took": round(took * 1000),
                },
            )


def test_dc2_progress_is_told_on_change_and_every_15_seconds(studio: Studio, ana: Person) -> None:
    asked = studio.ask(ana)
    asked.answer.wait_for_text(WORDS)
    [first] = [each.content for each in asked.answer.history]
    assert re.fullmatch(
        rf"🎬 {WORDS}: (just started|started \d s ago)\. "
        r"Of the latest videos like it, half took up to 70 s, 19 of 20 up to 110 s\.",
        first,
    )
    # Polls by the sweeper, in batches and without a header, which find nothing new to tell.
    polls(studio, 2)
    assert len(asked.answer.history) == 1
    age(studio, asked, 40)
    asked.answer.wait_for(lambda it: re.search(r"started [4-9]\d s ago", it.content), "its age")
    polls(studio, 1)
    assert len(asked.answer.history) == 2
    age(studio, asked, 100)
    asked.answer.wait_for_text("This one takes longer than most.")
    assert "started 2 min " in asked.answer.content
    assert "%" not in asked.answer.content
    # The end comes after all of it, and nothing comes after the end.
    age(studio, asked, 600)
    studio.wait_until_delivered(asked)
    studio.system.wait_until_quiet()
    assert len(asked.answer.history) == 4
    assert "timed out" in asked.answer.content
    assert not ana.pings


def test_dc2_progress_that_cannot_be_told_harms_nothing(studio: Studio, ana: Person) -> None:
    faults, ledger, worker = studio.discord.faults, studio.discord.ledger, studio.system.worker
    edits = ledger.count(EDITS)
    faults.rate_limit(EDITS, retry_after=60)
    asked = studio.ask(ana)
    polls(studio, 1)
    [line] = worker.said("progress_not_told", request_id=str(asked.id))
    assert (line["level"], line["reason"]) == ("debug", "Discord answered 429, retry after 60 s")
    hangs = faults.hang(EDITS)
    age(studio, asked, 20)
    hangs.wait_until_reached()
    polls(studio, 1)
    assert studio.system.row(asked.id).status is Status.GENERATING
    assert not asked.answer.history
    # Left alone for a while.
    age(studio, asked, 20)
    polls(studio, 1)
    assert ledger.count(EDITS) == edits + 2
    # And the end is told all the same, after what may still come of the edit that hangs.
    end(studio, asked)
    studio.system.wait_for_row(asked.id, lambda row: row.delivery_attempts == 1)
    hangs.release()
    studio.wait_until_delivered(asked)
    assert "timed out" in asked.answer.content


def test_dc2_the_answer_waits_for_an_edit_that_is_under_way(studio: Studio, ana: Person) -> None:
    """The edit arrives late, and must not come after the answer."""
    for child in studio.system.worker.children():
        # Nobody remembers that Discord did not answer.
        os.kill(child, signal.SIGKILL)
    fault = studio.discord.faults.hang(EDITS)
    asked = studio.ask(ana)
    fault.wait_until_reached()
    end(studio, asked)
    studio.system.wait_for_row(asked.id, lambda row: row.delivery_attempts == 1)
    fault.release()
    studio.wait_until_delivered(asked)
    told, answer = [each.content for each in asked.answer.history]
    assert WORDS in told
    assert "timed out" in answer


def end(studio: Studio, asked: Asked) -> None:
    """It ends in this very moment, by somebody else."""
    with studio.system.database.begin() as conn:
        ended = requests.time_out(conn, asked.id, message="Generation timed out")
    assert ended.delivery_due_at is not None
    studio.make_delivery_due(asked)


def test_dc2_who_stood_still_before_an_edit_does_not_make_it(
    make_system: MakeSystem, discord: FakeDiscord, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then the answer may be there. Here it is Postgres for which it waits."""
    monkeypatch.setattr(progress, "TELL_FOR", 0.1)
    with ExitStack() as stack:
        studio = new_studio(stack, make_system, discord)
        asked, system = studio.admit(ana), studio.system
        telling = Thread(target=progress.tell_places, args=[system.context, {asked.id: 3}])
        with system.database.begin() as conn:
            conn.execute(text("SELECT FROM reply_tokens FOR UPDATE"))
            telling.start()
            until(lambda: is_waited_for(system), what="the edit is about to be leased")
            late = time.monotonic() + progress.TELL_FOR
            until(lambda: time.monotonic() > late, what="it is too late for it")
        telling.join()
        assert not asked.answer.history
        # Nobody waits for it.
        with system.database.autocommit() as conn:
            assert replies.close(conn, asked.id)[1] == replies.NEVER


def is_waited_for(system: System) -> bool:
    """Whether somebody waits for what another holds."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    with system.database.autocommit() as conn:
        return bool(conn.execute(waiting).scalar_one())


def test_dc2_what_goes_on_without_postgres_waits_for_an_edit_that_is_under_way(
    make_system: MakeSystem, discord: FakeDiscord, ana: Person
) -> None:
    """It arrives late, and must not come after the answer: nobody can look for it then."""
    with ExitStack() as stack:
        studio = new_studio(stack, make_system, discord, RESCUE_AFTER_SECONDS=30)
        asked, system = studio.admit(ana), studio.system
        hangs = discord.faults.hang(EDITS)
        began = datetime.now(UTC)
        progress.tell_places(system.context, {asked.id: 3})
        hangs.release()
        known = Meanwhile.of(system.row(asked.id))
        with system.broker.in_use():
            outage.take_over(system.context, known, None, DatabaseUnavailable("It is away"))
        [message] = system.broker.messages()
        assert message.eta is not None
        assert message.eta >= began + progress.AT_MOST


def test_progress_knows_no_more_than_the_time_it_may_take() -> None:
    slowest = progress.TELL_FOR + 3 * progress.PATIENCE
    assert slowest < progress.AT_MOST.total_seconds()


def test_dc2_nothing_is_told_in_an_outage_and_the_time_after_it(
    make_system: MakeSystem, discord: FakeDiscord, ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be written over what may have been answered without Postgres."""
    with ExitStack() as stack:
        studio = new_studio(stack, make_system, discord)
        asked, context = studio.admit(ana), studio.system.context
        aftermath.meet(context, DatabaseUnavailable("It is away"))
        progress.tell_places(context, {asked.id: 3})
        aftermath.look(context)
        progress.tell_places(context, {asked.id: 3})
        assert not asked.answer.history
        monkeypatch.setattr(aftermath, "time", SimpleNamespace(monotonic=lambda: inf))
        progress.tell_places(context, {asked.id: 3})
        asked.answer.wait_for_text("Queued")


def test_dc2_who_waits_for_his_turn_is_told_so_once(
    make_system: MakeSystem, discord: FakeDiscord, ana: Person
) -> None:
    with ExitStack() as stack:
        studio = new_studio(stack, make_system, discord, SANDBOX_OUTCOME="busy")
        studio.system.start_worker()
        asked = studio.ask(ana)
        asked.answer.wait_for_text("Queued: waiting for the video service.")
        studio.system.wait_for_row(asked.id, lambda row: row.claim is None)
        assert len(asked.answer.history) == 1
