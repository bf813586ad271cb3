"""The chain from end to end, on a real broker, worker and Postgres (RT1 to RT6, LG1, LG2)."""

import json
import os
import re
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import av
import psycopg2
import pytest

from db.records import NewRequest
from db.states import Status
from tests.db.rows import new_request
from tests.workers.broker import altered
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import chain, ends
from workers.settings import SandboxOutcome

#: What a log may show of a prompt, and what nobody but the provider may see.
OPEN = "A small boat leaves a quiet harbour at dawn, and a"
SECRET = "letter to Persephone-7731 lies under its bench"
assert len(OPEN) == 50

AN_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

WithOutcome = Callable[[SandboxOutcome], System]


def asked(**changes: Any) -> NewRequest:
    """A silent video, which is quicker to make; and the next user, for limits do not matter."""
    return new_request(**{"user_id": f"user-{uuid4()}", "generate_audio": False} | changes)


@pytest.fixture(scope="module", autouse=True)
def unanswered(make_shared_system: MakeSystem) -> tuple[System, UUID]:
    """A call whose answer never came. What became of it is looked for after ten seconds only,
    so it is made before all others, and looked at after them."""
    system = make_shared_system(SANDBOX_OUTCOME="unknown", RESCUE_AFTER_SECONDS=1)
    system.start_worker()
    [request_id] = system.submit(asked())
    return system, request_id


@pytest.fixture(scope="module")
def with_outcome(make_shared_system: MakeSystem) -> WithOutcome:
    """A system whose provider answers in one way."""
    made: dict[SandboxOutcome, System] = {}

    def system(outcome: SandboxOutcome) -> System:
        if outcome not in made:
            made[outcome] = make_shared_system(
                SANDBOX_OUTCOME=outcome, GENERATION_TIMEOUT_SECONDS=3, DAILY_LIMIT=5
            )
            made[outcome].start_worker()
        return made[outcome]

    return system


@pytest.fixture(scope="module")
def system(make_shared_system: MakeSystem) -> System:
    """A system in which everything goes well."""
    system = make_shared_system(DAILY_LIMIT=5)
    system.start_worker()
    return system


def end(system: System, new: NewRequest) -> Any:
    """The row of a request that was submitted and has ended, once its end has been told."""
    [row] = system.wait_until_ended(system.submit(new))
    last = {"request_id": str(row.id), "new_status": row.status}
    until(lambda: system.worker.said("request_status_changed", **last), what="it is told")
    return row


def transition(line: dict[str, Any]) -> tuple[str, str]:
    return line["old_status"], line["new_status"]


def test_a_request_becomes_a_video(system: System) -> None:
    new = asked(guild_id="a guild", channel_id="a channel", aspect_ratio="9:16")
    row = end(system, new)

    assert row.status is Status.COMPLETED
    assert [getattr(row, name) for name in ("user_id", "guild_id", "channel_id", "prompt")] == [
        new.user_id,
        new.guild_id,
        new.channel_id,
        new.prompt,
    ]
    assert (row.provider, row.model, row.cost_usd) == ("sandbox", "sandbox", 0)
    assert row.gcs_prefix == f"{(system.videos / str(new.id)).as_uri()}/"
    assert row.operation_name.startswith("sandbox/operations/")
    assert row.created_at <= row.started_at <= row.completed_at
    exact = (row.completed_at - row.started_at) / timedelta(milliseconds=1)
    assert row.duration_ms == pytest.approx(exact, abs=1)
    assert row.claim is not None
    assert row.due_at is row.error_code is row.error_message is None
    assert system.story(new.id) == ["created", "generating", "completed"]
    assert system.calls()[new.id] == 1

    [video] = row.video_urls
    with av.open(unquote(urlsplit(video).path)) as container:
        [stream] = container.streams.video
        frames = sum(1 for _ in container.decode(stream))
        assert (stream.width, stream.height) == (720, 1280)
        assert frames == pytest.approx(4 * float(stream.average_rate or 0), abs=1)


def test_each_step_is_one_line_with_its_fields(system: System) -> None:
    new = asked(prompt=OPEN + SECRET, guild_id="a guild", duration_seconds=6, resolution="1080p")
    row = end(system, new)

    created, started, completed = system.lines_about(new.id)
    common = {"request_id": str(new.id), "level": "info"}
    assert (
        created.items()
        >= {
            **common,
            "event": "request_created",
            "task": "create_request",
            "user_id": new.user_id,
            "guild_id": "a guild",
            "prompt": OPEN,
            "prompt_length": len(OPEN + SECRET),
            "parameters": {
                "duration_seconds": 6,
                "aspect_ratio": "16:9",
                "resolution": "1080p",
                "generate_audio": False,
                "model": "sandbox",
                "negative_prompt_length": 0,
                "seed": None,
            },
        }.items()
    )
    labels = {"duration_seconds": 6, "aspect_ratio": "16:9"}
    assert (
        started.items()
        >= {
            **common,
            "event": "request_status_changed",
            "task": "start_generation",
            "old_status": "pending",
            "new_status": "generating",
            "queueing_ms": row.queueing_ms,
            "labels": {**labels, "status": "generating"},
        }.items()
    )
    assert (
        completed.items()
        >= {
            **common,
            "event": "request_status_changed",
            "task": "finalize",
            "old_status": "generating",
            "new_status": "completed",
            "duration_ms": row.duration_ms,
            "labels": {**labels, "status": "completed"},
        }.items()
    )
    assert "error_message" not in completed
    assert row.queueing_ms == pytest.approx(
        (row.started_at - row.created_at) / timedelta(milliseconds=1), abs=1
    )


def test_the_provider_refuses(with_outcome: WithOutcome) -> None:
    system = with_outcome(SandboxOutcome.REFUSED)
    row = end(system, asked())
    assert (row.status, row.error_code) == (Status.FAILED, "refused")
    assert row.error_message == "The video service does not make this video."
    assert row.operation_name is row.video_urls is None
    assert None not in (row.started_at, row.completed_at, row.duration_ms)
    assert system.story(row.id) == ["created", "generating", "failed", "failed"]
    assert not system.calls()
    [line] = system.worker.said("start_refused", request_id=str(row.id))
    assert (line["level"], line["code"]) == ("warning", "refused")
    moves = system.worker.said("request_status_changed", request_id=str(row.id))
    assert [transition(move) for move in moves] == [
        ("pending", "generating"),
        ("generating", "failed"),
    ]
    assert moves[-1]["error_message"] == row.error_message


@pytest.mark.parametrize(
    ("outcome", "code", "message"),
    [
        (
            SandboxOutcome.FAILED,
            "provider_error",
            "The video service could not make this video. Trying again may help.",
        ),
        (
            SandboxOutcome.FILTERED,
            "filtered",
            "The video was held back by the safety filter. Another wording of the prompt may help.",
        ),
    ],
)
def test_the_operation_fails(
    with_outcome: WithOutcome, outcome: SandboxOutcome, code: str, message: str
) -> None:
    system = with_outcome(outcome)
    row = end(system, asked())
    assert (row.status, row.error_code, row.error_message) == (Status.FAILED, code, message)
    assert row.operation_name.startswith("sandbox/operations/")
    assert None not in (row.gcs_prefix, row.started_at, row.completed_at, row.duration_ms)
    assert row.video_urls is row.due_at is None
    assert system.story(row.id) == ["created", "generating", "failed", "failed"]
    assert [event.event_data for event in system.events(row.id)][-1] == {"error_code": code}
    assert system.calls() == {row.id: 1}
    [failed] = system.worker.said("generation_failed", request_id=str(row.id))
    assert (failed["level"], failed["code"]) == ("warning", code)
    [*_, moved] = system.worker.said("request_status_changed", request_id=str(row.id))
    assert (moved["new_status"], moved["error_message"]) == ("failed", message)


def test_nothing_is_heard_of_the_operation(with_outcome: WithOutcome) -> None:
    system = with_outcome(SandboxOutcome.NEVER)
    row = end(system, asked())
    assert (row.status, row.error_code) == (Status.TIMEOUT, "timeout")
    assert row.error_message == "Generation timed out after 3 seconds"
    assert 3000 <= row.duration_ms < 20_000
    assert row.counted
    assert system.story(row.id) == ["created", "generating", "timeout"]
    assert system.calls() == {row.id: 1}
    [*_, moved] = system.worker.said("request_status_changed", request_id=str(row.id))
    assert (moved["new_status"], moved["duration_ms"]) == ("timeout", row.duration_ms)


@pytest.mark.parametrize(
    ("seconds", "figure"),
    [(300, "5 minutes"), (60, "1 minute"), (1, "1 second"), (90, "90 seconds")],
)
def test_the_sentence_of_a_timeout_has_the_configured_figure(seconds: int, figure: str) -> None:
    message = ends.timeout_message(timedelta(seconds=seconds))
    assert message == f"Generation timed out after {figure}"


def test_the_provider_is_busy(with_outcome: WithOutcome) -> None:
    system = with_outcome(SandboxOutcome.BUSY)
    [request_id] = system.submit(asked())
    row = system.wait_for_row(request_id, lambda row: row.attempts >= 2 and row.claim is None)
    assert row.status is Status.PENDING
    assert row.started_at is row.claimed_at is None
    assert row.due_at is not None
    assert row.due_at > datetime.now(UTC)
    assert not system.has_marker(request_id)
    assert not system.calls()
    assert system.story(request_id) == ["created"]
    [first, second] = system.worker.said("start_not_taken", request_id=str(request_id))
    assert 1 <= first["next_try_seconds"] <= 2 <= second["next_try_seconds"] <= 4
    assert first["reason"] == "The sandbox was told to be busy"

    # Too busy for too long: ten minutes later, say.
    with psycopg2.connect(system.environment["DATABASE_URL"]) as operator:
        operator.cursor().execute(
            "UPDATE video_requests SET attempts = 15, due_at = now() WHERE id = %s",
            [str(request_id)],
        )
    operator.close()
    [row] = system.wait_until_ended([request_id])
    assert (row.status, row.error_code) == (Status.FAILED, "busy")
    assert row.error_message == (
        "The video service was too busy for too long. Please try again later."
    )
    assert not system.calls()


def test_the_sixth_request_of_a_user_is_refused(system: System) -> None:
    user = f"user-{uuid4()}"
    taken = system.wait_until_ended(system.submit(*(asked(user_id=user) for _ in range(5))))
    [sixth] = system.submit(asked(user_id=user))
    line = until(
        lambda: system.worker.said("rate_limit_reached", user_id=user), what="it is refused"
    )[0]
    system.wait_until_quiet()
    oldest = min(row.created_at for row in taken)
    assert (line["level"], line["count"], line["request_id"]) == ("warning", 5, str(sixth))
    assert datetime.fromisoformat(line["oldest_request"]) == oldest
    assert datetime.fromisoformat(line["reset_at"]) == oldest + timedelta(hours=24)
    assert system.find(sixth) is None
    assert {row.status for row in taken} == {Status.COMPLETED}
    assert sixth not in system.calls()


def test_an_id_that_is_known_is_not_made_twice(system: System) -> None:
    new = asked()
    first = end(system, new)
    system.submit(asked(id=new.id, prompt="Something else altogether"))
    [line] = until(
        lambda: system.worker.said("request_exists", request_id=str(new.id)), what="it is known"
    )
    system.wait_until_quiet()
    assert line["level"] == "warning"
    assert system.row(new.id) == first
    assert system.story(new.id) == ["created", "generating", "completed"]
    assert system.calls()[new.id] == 1


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"prompt": "four"}, "The prompt must have 5 to 600 characters; this one has 4."),
        ({"prompt": "a" * 601}, "The prompt must have 5 to 600 characters; this one has 601."),
        ({"prompt": "a boat\0"}, "character 7 of it (U+0000)"),
        ({"prompt": "a boat \ud800"}, "character 8 of it (U+D800)"),
        ({"duration_seconds": 5}, "The duration must be 4, 6 or 8 seconds, not 5."),
        ({"aspect_ratio": "16:10"}, "The aspect ratio must be 16:9 or 9:16, not 16:10."),
        ({"resolution": "4K"}, "The resolution must be 720p or 1080p, not 4K."),
    ],
)
def test_what_cannot_be_made_is_not_taken_on(
    system: System, wrong: dict[str, Any], reason: str
) -> None:
    new = asked(**wrong)
    system.submit(new)
    until(lambda: system.lines_about(new.id), what="it is turned down")
    system.wait_until_quiet()
    [line] = system.lines_about(new.id)
    assert (line["event"], line["level"]) == ("request_invalid", "warning")
    assert reason in line["reason"]
    assert "exception" not in line
    assert system.find(new.id) is None
    assert not [line for line in system.lines if line["level"] in ("error", "critical")]


def test_a_call_of_unknown_outcome_is_found_by_its_output(
    unanswered: tuple[System, UUID],
) -> None:
    system, request_id = unanswered
    [row] = system.wait_until_ended([request_id])
    assert row.status is Status.COMPLETED
    assert row.operation_name is None
    assert row.started_at == row.claimed_at
    assert row.gcs_prefix is not None
    assert row.video_urls == [f"{row.gcs_prefix}sample_0.mp4"]
    assert system.story(request_id) == ["created", "generating", "completed"]
    assert system.calls() == {request_id: 1}
    [unknown] = system.worker.said("start_outcome_unknown", request_id=str(request_id))
    assert unknown["level"] == "error"
    assert system.has_marker(request_id)


def test_neither_log_nor_flower_shows_a_prompt_or_a_password(make_system: MakeSystem) -> None:
    """Through all that makes Celery talk: held tasks, retries, messages that nobody understands."""
    system = make_system(SANDBOX_SECONDS=1, DATABASE_OUTAGE="refuse")
    worker = system.start_worker()
    news = [asked(prompt=OPEN + SECRET) for _ in range(6)]
    ids = [str(new.id) for new in news]
    with system.watch() as watch, system.broker.in_use():
        # A task that runs, as long as somebody holds the table, and one whose process stands still.
        still, _ = worker.children()
        with psycopg2.connect(system.environment["DATABASE_URL"]) as outsider:
            outsider.cursor().execute("LOCK TABLE video_requests")
            os.kill(still, signal.SIGSTOP)
            system.submit(*news[:5])
            until(lambda: system.inspect("reserved")["reserved"][worker.name], what="one waits")
            busy = system.inspect("active", "reserved")
            os.kill(still, signal.SIGCONT)
        outsider.close()
        # Tasks that are held to be tried again.
        with system.postgres_away():
            system.submit(news[5])
            until(lambda: watch.of_type("task-retried"), what="a task is tried again")
            held = until(
                lambda: [*filter(None, system.inspect("scheduled")["scheduled"].values())],
                what="a task is held",
            )
        # Messages that nobody understands, with the same headers.
        [(queue, raw)] = system.broker.record(lambda: chain.enqueue(news[0]))
        for strange, complaint in (
            (altered(raw, task="no_such_task"), "unregistered task"),
            (altered(raw, body=SECRET.encode()), "decode message body"),
            (altered(raw, video_request={"prompt": OPEN + SECRET}), "raised unexpected"),
        ):
            system.broker.deliver(queue, strange)
            until(lambda: complaint in worker.log, what=complaint)  # noqa: B023
        rows = system.wait_until_ended([new.id for new in news])
        page = system.inspect("conf", "stats", "registered", "active_queues", "report")
        told = list(watch.events)
    assert {row.status for row in rows} == {Status.COMPLETED}
    assert {row.prompt for row in rows} == {OPEN + SECRET}

    shown = {
        "log": worker.log,
        "events": json.dumps(told, default=str),
        "tasks": json.dumps([busy, held], default=str),
        "page": json.dumps(page, default=str),
    }
    passwords = [
        urlsplit(system.environment[name]).password for name in ("DATABASE_URL", "REDIS_URL")
    ]
    for where, text in shown.items():
        for secret in ("Persephone", "its bench", *passwords):
            assert str(secret) not in text, where
    assert OPEN in shown["log"]
    assert OPEN not in shown["events"] + shown["tasks"]

    tasks = [task for tasks in busy.values() for task in tasks[worker.name]]
    tasks += [entry["request"] for entries in held for entry in entries]
    chained = [task for task in tasks if task["name"] != "sweep"]
    assert chained
    for task in chained:
        assert task["kwargs"] == {}
        assert len(task["args"]) == 1
        assert task["args"][0] in ids or set(task["args"][0]) <= set(ids)
    received = [event for event in told if event["type"] == "task-received"]
    for event in received:
        if event["name"] not in ("sweep", "no_such_task"):
            assert set(AN_ID.findall(event["args"])) <= set(ids)
            assert not AN_ID.sub("", event["args"]).strip("()[]', ")
            assert event["kwargs"] == "{}"
    assert not [event for event in told if event.get("result") not in (None, "None")]


def test_what_is_logged_is_json_to_the_last_line(system: System) -> None:
    assert {"event", "level", "logger", "timestamp"} <= set.intersection(
        *(set(line) for line in system.lines)
    )
