"""The steps of a request without Postgres, one by one: what the mark allows, and how each ends."""

import json
import os
import signal
import traceback
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from db import engine, keeping, requests
from db.engine import Database
from db.errors import DatabaseUnavailable, PoolExhausted
from db.meanwhile import Meanwhile
from db.records import NewRequest, ReplyTo
from db.settings import DatabaseSettings
from db.states import Status
from tests.db.rows import new_request
from tests.workers.test_money import context_of
from workers import (
    admitting,
    answering_alone,
    chain,
    delivering,
    following_alone,
    memory,
    outage,
    starting,
    starting_alone,
    turns,
)
from workers.attempts import LOOKS, MAX_ATTEMPTS
from workers.context import Context
from workers.settings import SandboxOutcome
from workers.storage.folder import FolderStorage

NOT_STORABLE = "The video was not made: it could not have been stored. Please tell an operator."
NOWHERE = DatabaseSettings.model_validate({"database_url": "postgresql://nobody@127.0.0.1:1/no"})


def alone(outcome: SandboxOutcome, *, does_count: bool = True) -> Context:
    return context_of(Database(NOWHERE), outcome, failed_requests_count=does_count)


def asked() -> Meanwhile:
    return Meanwhile(new_request(generate_audio=False), datetime.now(UTC))


def calls() -> int:
    return len(list((Path("videos") / ".sandbox").glob("*.json")))


def long_ago(known: Meanwhile) -> Meanwhile:
    """The same, begun before its time was up."""
    before = datetime.now(UTC) - timedelta(hours=1)
    is_started = known.started_at is not None
    return replace(known, claimed_at=before, started_at=before if is_started else None)


def test_it_is_called_for_once_and_followed_to_its_video() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    started, _ = starting_alone.start(context, asked())
    assert (started.status, calls()) == (Status.GENERATING, 1)
    ended, _ = following_alone.follow(context, started)
    assert ended.status is Status.COMPLETED
    assert ended.video_urls == context.storage.outputs(str(started.gcs_prefix))
    assert ended.operation_name == started.operation_name


def test_whoever_finds_the_mark_makes_no_call_and_finds_the_video() -> None:
    """The message came again: the first one may have made the call."""
    context, known = alone(SandboxOutcome.COMPLETED), asked()
    starting_alone.start(context, known)
    again, _ = starting_alone.start(context, known)
    assert (again.started_at, again.operation_name, calls()) == (None, None, 1)
    ended, _ = following_alone.follow(context, again)
    assert (ended.status, ended.started_at) == (Status.COMPLETED, again.claimed_at)


@pytest.mark.parametrize("does_count", [True, False])
def test_what_is_refused_ends_and_gives_its_money_back(does_count: bool) -> None:
    context = alone(SandboxOutcome.REFUSED, does_count=does_count)
    ended, _ = starting_alone.start(context, asked())
    assert (ended.status, ended.error_code) == (Status.FAILED, "refused")
    assert (ended.billed, ended.counted) == (False, does_count)
    assert ended.started_at == ended.completed_at


def test_what_is_not_taken_is_tried_again_for_a_while() -> None:
    context, known = alone(SandboxOutcome.BUSY), asked()
    for attempt in range(MAX_ATTEMPTS):
        assert (known.status, known.attempts) == (Status.PENDING, attempt)
        known, pause = starting_alone.start(context, known)
        assert pause > timedelta(0)
    known, _ = starting_alone.start(context, known)
    assert (known.status, known.error_code, known.billed) == (Status.FAILED, "busy", False)


def test_nobody_has_more_made_than_a_day_allows_and_what_was_admitted_is_made() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    most = context.settings.daily_limit
    for _ in range(most):
        started, _ = starting_alone.start(context, asked())
        assert started.status is Status.GENERATING
    over = asked()
    ended, _ = starting_alone.start(context, over)
    assert (ended.status, ended.error_code) == (Status.FAILED, "too_many")
    assert (ended.billed, ended.counted) == (False, False)
    # Nor is it made by somebody else, who could not know of its end.
    again, _ = starting_alone.start(alone(SandboxOutcome.COMPLETED), over)
    assert (again.operation_name, calls()) == (None, most)
    admitted, _ = starting_alone.start(context, replace(asked(), has_row=True))
    assert (admitted.status, calls()) == (Status.GENERATING, most + 1)


def test_where_nothing_can_be_stored_no_call_is_made_and_the_user_is_told() -> None:
    context, known = alone(SandboxOutcome.COMPLETED), asked()
    Path("full").touch()
    context = replace(context, storage=FolderStorage(Path("full")))
    with capture_logs() as logs:
        for _ in range(MAX_ATTEMPTS + 1):
            assert known.status is Status.PENDING
            known, _ = starting_alone.start(context, known)
    assert (known.status, known.error_code, known.billed) == (Status.FAILED, "storage", False)
    assert known.error_message == NOT_STORABLE
    [told] = [line for line in logs if line["event"] == "start_given_up"]
    assert (told["log_level"], told["code"]) == ("error", "storage")
    # The operator is told which folder, or bucket.
    assert str(Path("full").absolute()) in told["reason"]
    assert not Path("videos").exists()


@pytest.mark.parametrize("outcome", [SandboxOutcome.FAILED, SandboxOutcome.FILTERED])
def test_what_fails_says_why(outcome: SandboxOutcome) -> None:
    context = alone(outcome)
    started, _ = starting_alone.start(context, asked())
    ended, _ = following_alone.follow(context, started)
    assert ended.status is Status.FAILED
    assert ended.error_message
    assert not ended.billed


def test_what_never_comes_times_out_after_a_last_question() -> None:
    context = alone(SandboxOutcome.NEVER)
    started, _ = starting_alone.start(context, asked())
    waiting, pause = following_alone.follow(context, started)
    assert (waiting.status, pause) == (Status.GENERATING, context.provider.poll_every)
    ended, _ = following_alone.follow(context, long_ago(started))
    assert (ended.status, ended.billed, ended.counted) == (Status.TIMEOUT, True, True)
    assert ended.error_message == "Generation timed out after 5 minutes"
    # Had it been there in the end, it were a video.
    context = alone(SandboxOutcome.COMPLETED)
    started, _ = starting_alone.start(context, asked())
    ended, _ = following_alone.follow(context, long_ago(started))
    assert ended.status is Status.COMPLETED


def test_a_call_that_was_perhaps_never_taken_gives_its_place_back() -> None:
    context, known = alone(SandboxOutcome.COMPLETED), asked()
    prefix = context.storage.prefix_for(known.new.id)
    assert context.storage.create_marker(prefix, uuid4())
    claimed, _ = starting_alone.start(context, known)
    assert calls() == 0
    ended, _ = following_alone.follow(context, long_ago(claimed))
    assert (ended.status, ended.billed, ended.counted) == (Status.TIMEOUT, False, False)
    assert ended.started_at is not None


def test_a_video_that_does_not_show_is_waited_for_and_then_a_failure() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    known, _ = starting_alone.start(context, asked())
    for video in context.storage.outputs(str(known.gcs_prefix)):
        Path(video.removeprefix("file://")).unlink()
    for _ in range(LOOKS - 1):
        known, pause = following_alone.follow(context, known)
        assert known.status is Status.GENERATING
        assert pause > timedelta(0)
    known, _ = following_alone.follow(context, known)
    assert (known.status, known.error_code) == (Status.FAILED, "no_video")


def test_one_of_two_that_came_to_the_same_end_answers() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    known = replace(asked(), new=new_request(channel_id="123"))
    ended, _ = following_alone.follow(context, starting_alone.start(context, known)[0])
    assert answering_alone.is_wanted(ended)
    other = replace(ended, answer_claim=uuid4())
    # Discord cannot be reached, but this one may go on trying.
    tried = answering_alone.answer(context, ended, None)
    assert tried is not None
    assert (tried[0].delivered_at, tried[0].attempts) == (None, 1)
    assert answering_alone.answer(context, other, None) is None
    assert answering_alone.answer(context, tried[0], None) is not None


def test_those_are_remembered_that_are_due_and_that_nobody_can_have_taken_up() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    memory.take(most=1000)
    long_due, due, later = (
        starting_alone.start(context, asked())[0].as_request() for _ in range(3)
    )
    memory.keep(context, long_due, due_in=-memory.ON_ITS_WAY)
    memory.keep(context, due, due_in=timedelta(seconds=-1))
    memory.keep(context, later, due_in=timedelta(minutes=1))
    memory.prune()
    assert [each.request for each in memory.take(most=1000)] == [due]
    memory.keep(context, later, due_in=timedelta(0))
    assert [each.request for each in memory.take(most=1000)] == [later]
    assert not memory.take(most=1000)


def test_where_an_answer_goes_stays_known() -> None:
    context, reply_to = alone(SandboxOutcome.COMPLETED), ReplyTo("1", "token")
    request = starting_alone.start(context, asked())[0].as_request()
    memory.keep(context, request, due_in=timedelta(minutes=1), reply_to=reply_to)
    memory.keep(context, request, due_in=timedelta(0))
    assert [each.reply_to for each in memory.take(most=1000)] == [reply_to]


def test_what_was_deleted_is_not_remembered() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    request = starting_alone.start(context, asked())[0].as_request()
    memory.keep(context, request, due_in=timedelta(0))
    memory.keep(context, replace(request, deleted_at=datetime.now(UTC)), due_in=timedelta(0))
    assert not memory.take(most=1000)


def test_what_was_deleted_before_its_delivery_is_remembered_by_nobody(database: Database) -> None:
    context, new = context_of(database, SandboxOutcome.COMPLETED), new_request(channel_id="1")
    admitting.admit(context, new)
    with database.begin() as conn:
        ended = requests.refuse(conn, new.id, code="refused", message="No.")
        memory.keep(context, ended, due_in=timedelta(0))
        keeping.delete(conn, new.id, by="alice")
    with capture_logs() as logs:
        delivering.deliver(context, new.id, uuid4())
    assert [line["event"] for line in logs] == ["delivery_dropped"]
    assert memory.forget(new.id) is None


def test_lg2_what_nobody_expected_tells_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    context = alone(SandboxOutcome.COMPLETED)
    prompt = "A lighthouse in a storm, seen from the sea " * 3
    known = replace(asked(), new=new_request(prompt=prompt))
    started, _ = starting_alone.start(context, known)

    def quote(*_: object) -> None:
        raise RuntimeError(f"cannot make anything of {prompt}")

    monkeypatch.setattr(context.provider, "start", quote)
    monkeypatch.setattr(context.provider, "poll", quote)
    with capture_logs() as logs:
        starting_alone.start(context, replace(asked(), new=new_request(prompt=prompt)))
        following_alone.follow(context, started)
    call, poll = logs
    assert (call["event"], poll["event"]) == ("start_outcome_unknown", "poll_failed")
    trace = "".join(traceback.format_exception(poll["exc_info"]))
    # Where it was is told all the same.
    assert "RuntimeError: cannot make" in trace
    assert "in quote" in trace
    assert prompt.strip() not in f"{call} {poll} {trace}"


def test_dg5_who_finds_the_pool_exhausted_does_not_take_it_for_an_outage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exhausted(*_: object) -> None:
        raise PoolExhausted("all are in use")

    monkeypatch.setattr(turns, "claim", exhausted)
    with pytest.raises(PoolExhausted):
        starting.start(alone(SandboxOutcome.COMPLETED), uuid4())


def test_rl1_only_a_postgres_that_answers_is_asked_for_leave_anew(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[NewRequest] = []
    monkeypatch.setattr(chain, "enqueue", lambda new, **_: sent.append(new))
    # However slow this machine is: so soon after its use nobody looks whether a connection is good.
    monkeypatch.setattr(engine, "FRESH", inf)
    settings = DatabaseSettings.model_validate({"database_url": database_url})
    with closing(Database(settings, answer_timeout=timedelta(seconds=1))) as database:
        context, known = context_of(database, SandboxOutcome.COMPLETED), asked()
        with database.autocommit() as conn:
            pid = conn.execute(text("SELECT pg_backend_pid()")).scalar_one()
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DatabaseUnavailable):
                outage._ask_for_anew(context, known, None)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert not sent
        outage._ask_for_anew(context, known, None)
        assert sent == [known.new]


def test_a_message_knows_everything_but_what_its_headers_carry() -> None:
    context = alone(SandboxOutcome.COMPLETED)
    known, _ = starting_alone.start(context, asked())
    known, _ = following_alone.follow(context, known)
    facts = json.loads(json.dumps(outage.facts(known)))
    assert known.new.prompt not in str(facts)
    assert outage.received(known.new, facts) == known
