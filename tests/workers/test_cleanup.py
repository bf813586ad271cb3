"""RE1 with real workers: one run at a time, whatever dies, and nothing orphaned."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import delete, func, update
from structlog.testing import capture_logs

from db import privacy as statements
from db.states import Status
from db.tables import request_remnants, video_requests
from tests.db.old import ids_in, now, put, put_old, remnants, values
from tests.db.rows import admitted, in_state, new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import chain, privacy, removal, retention, sweeper, tasks
from workers.app import app
from workers.retention import BATCH

DAYS = 30
HALF = BATCH // 2
c = video_requests.c


def with_outputs(system: System, ids: list[UUID]) -> None:
    """A video and a marker in the folder of each, and the prefix in its row."""
    for request_id in ids:
        prefix = system.context.storage.prefix_for(request_id)
        assert system.context.storage.create_marker(prefix, uuid4())
        (system.videos / str(request_id) / "sample_0.mp4").write_text("video")
        with system.database.begin() as conn:
            conn.execute(update(video_requests).where(c.id == request_id).values(gcs_prefix=prefix))


def folders(system: System) -> set[UUID]:
    return {UUID(path.name) for path in system.videos.iterdir() if not path.name.startswith(".")}


def send_cleanup(system: System, times: int = 1) -> None:
    """As beat does."""
    with system.broker.in_use():
        for _ in range(times):
            app.send_task("cleanup")


@contextmanager
def held(system: System, request_id: UUID) -> Iterator[psycopg2.extensions.connection]:
    """Nobody gets at the row as long as the block lasts."""
    with closing(psycopg2.connect(system.environment["DATABASE_URL"])) as outsider:
        with outsider.cursor() as cursor:
            cursor.execute("SELECT FROM video_requests WHERE id = %s FOR UPDATE", [str(request_id)])
        yield outsider


def waits_for(outsider: psycopg2.extensions.connection) -> list[int]:
    """The backends that wait for somebody to let go of a row."""
    with outsider.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_locks WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))",
            [outsider.info.backend_pid],
        )
        return [pid for (pid,) in cursor.fetchall()]


def clean_here(system: System, days: int = DAYS, **options: Any) -> retention.Run:
    """A run in this process."""
    run = retention.begin(system.database, timedelta(days=days))
    done = retention.clean(system.database, system.context.storage, run, **options)
    assert done is not None
    return done


@pytest.fixture(scope="module")
def kept_system(make_shared_system: MakeSystem) -> System:
    """One with a worker that keeps requests for DAYS."""
    system = make_shared_system(
        REQUEST_RETENTION_DAYS=DAYS, SANDBOX_SECONDS=3, RESCUE_AFTER_SECONDS=1
    )
    system.start_worker()
    return system


@pytest.fixture
def system(kept_system: System) -> System:
    """The same, empty. What its worker said before is over."""
    kept_system.wait_until_quiet()
    with kept_system.database.begin() as conn:
        conn.execute(delete(video_requests))
        conn.execute(delete(request_remnants))
    shutil.rmtree(kept_system.videos, ignore_errors=True)
    kept_system.videos.mkdir()
    return kept_system


def hear(system: System) -> Callable[[str], list[dict[str, Any]]]:
    """What the worker says of an event from now on."""
    begun = len(system.worker.lines)
    return lambda event: [line for line in system.worker.lines[begun:] if line["event"] == event]


# --- The schedule ----------------------------------------------------------------------------


def schedule(**environment: str) -> dict[str, str]:
    script = (
        "import json; from workers.app import app;"
        "print(json.dumps({k: str(v['schedule']) for k, v in app.conf.beat_schedule.items()}))"
    )
    told = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
    )
    return dict(json.loads(told.stdout))


def test_re1_unset_schedules_nothing_and_set_a_run_a_day() -> None:
    assert [*schedule()] == [*schedule(REQUEST_RETENTION_DAYS="")] == ["sweep"]
    found = schedule(REQUEST_RETENTION_DAYS="30")
    assert [*found] == ["sweep", "cleanup"]
    assert "30 3 * * *" in found["cleanup"]


@pytest.mark.parametrize(("command", "wrong"), [("beat", "0"), ("worker", "a month")])
def test_a_wrong_number_of_days_is_named(command: str, wrong: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "bot.cli", command],
        env={**os.environ, "DATABASE_URL": "postgresql://h/d", "REQUEST_RETENTION_DAYS": wrong},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "REQUEST_RETENTION_DAYS must be a whole number" in told.stderr


# --- A run -----------------------------------------------------------------------------------


def test_re1_a_run_deletes_what_is_old_says_how_many_and_touches_nothing_else(
    system: System,
) -> None:
    said = hear(system)
    old = put_old(system.database, 450, days=DAYS + 5)
    old += put_old(system.database, 30, days=DAYS + 5, status=Status.FAILED)
    young = put_old(system.database, 30, days=DAYS - 1)
    being_made = put_old(system.database, 10, days=DAYS + 300, status=Status.GENERATING)
    with_outputs(system, [*old[-20:], *young[:3], *being_made[:3]])
    with system.watch() as watch:
        send_cleanup(system)
        [line] = until(lambda: said("cleanup_finished"), what="the run has ended")
        ended = until(
            lambda: [
                event
                for event in watch.of_type("task-succeeded")
                if "deleted" in str(event["result"])
            ],
            what="Flower hears of it",
        )
    assert (line["deleted"], line["kept"], line["level"]) == (480, 0, "info")
    assert {"cutoff", "seconds"} < {*line}
    assert [event["result"] for event in ended] == ["'deleted 480'"]
    assert ids_in(system.database) == {*young, *being_made}
    assert folders(system) == {*young[:3], *being_made[:3]}


def test_re1_a_worker_that_is_told_to_keep_everything_does(make_system: MakeSystem) -> None:
    system = make_system()
    old = put_old(system.database, 3, days=4000)
    worker = system.start_worker()
    send_cleanup(system)
    until(lambda: worker.said("cleanup_not_wanted"), what="the message is turned down")
    assert ids_in(system.database) == {*old}


def test_re1_two_at_once_are_one_run(system: System) -> None:
    said = hear(system)
    old = put_old(system.database, 250)
    with held(system, old[0]) as outsider:
        send_cleanup(system, times=2)
        until(lambda: waits_for(outsider), what="one is at it")
        until(lambda: said("cleanup_runs_elsewhere"), what="the other gives way")
    [line] = until(lambda: said("cleanup_finished"), what="the run has ended")
    assert line["deleted"] == 250
    system.wait_until_quiet()
    assert len(said("cleanup_finished")) == len(said("cleanup_runs_elsewhere")) == 1


def test_re1_what_a_killed_worker_left_is_finished_by_the_next(make_system: MakeSystem) -> None:
    system = make_system(REQUEST_RETENTION_DAYS=DAYS)
    old = put_old(system.database, 3 * BATCH + HALF)
    young = put_old(system.database, 20, days=1)
    with_outputs(system, [*old, *young])
    worker = system.start_worker()
    # In the second batch: of it the outputs are gone when death comes, and the rows are not.
    with held(system, old[BATCH + HALF]) as outsider:
        send_cleanup(system)
        [backend] = until(lambda: waits_for(outsider), what="the second batch waits")
        worker.kill()
        with outsider.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [backend])
    assert ids_in(system.database) == {*old[BATCH:], *young}
    assert folders(system) == {*old[2 * BATCH :], *young}
    second = system.start_worker()
    send_cleanup(system)
    [line] = until(lambda: second.said("cleanup_finished"), what="the next run has ended")
    assert line["deleted"] == 2 * BATCH + HALF
    assert ids_in(system.database) == folders(system) == {*young}


def test_a_slice_hands_over_to_the_next(make_system: MakeSystem) -> None:
    system = make_system()
    for status in (Status.COMPLETED, Status.TIMEOUT):
        put_old(system.database, BATCH + HALF, status=status)
    run = retention.begin(system.database, timedelta(days=DAYS))
    slices = 0
    while not run.is_finished:
        message = json.loads(json.dumps(run.as_message()))
        assert retention.Run.from_message(message) == run
        done = retention.clean(
            system.database, system.context.storage, retention.Run.from_message(message), seconds=0
        )
        assert done is not None
        run, slices = done, slices + 1
    assert (run.deleted, run.kept) == (2 * (BATCH + HALF), 0)
    # Two batches of completed, one of failed, two of timed out.
    assert slices == 5
    assert not ids_in(system.database)


def test_the_next_slice_is_sent_when_the_lock_is_free(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The messages of a long run, made here by a run whose slices have no time at all."""
    said = hear(system)
    put_old(system.database, 450)
    monkeypatch.setattr(retention, "SLICE", 0.0)
    monkeypatch.setattr(tasks, "context", lambda: system.context)
    [(queue, raw)] = system.broker.record(lambda: tasks.cleanup())
    system.broker.deliver(queue, raw)
    [line] = until(lambda: said("cleanup_finished"), what="the run has ended")
    assert line["deleted"] == 450
    assert not said("cleanup_runs_elsewhere")


def test_re1_a_request_whose_outputs_stay_stays_and_holds_up_no_other(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    old = put_old(system.database, 250)
    bad, elsewhere, foreign, *_ = old
    with_outputs(system, old[10:20])
    # Root may remove anything but this.
    (system.videos / str(bad)).symlink_to(system.folder)
    for request_id, prefix in (
        (elsewhere, f"file:///elsewhere/{elsewhere}/"),
        (foreign, "gs://bucket/of/the/system/before/"),
    ):
        with system.database.begin() as conn:
            conn.execute(update(video_requests).where(c.id == request_id).values(gcs_prefix=prefix))
    with capture_logs() as said:
        done = clean_here(system)
    assert (done.deleted, done.kept) == (248, 2)
    told = [(line["event"], line["request_id"]) for line in said if "request_id" in line]
    assert sorted(told) == sorted(
        [
            ("outputs_not_removed", str(bad)),
            ("outputs_not_removed", str(elsewhere)),
            ("outputs_left", str(foreign)),
        ]
    )
    assert ids_in(system.database) == {bad, elsewhere}
    assert folders(system) == {bad}
    (system.videos / str(bad)).unlink()
    assert clean_here(system).deleted == 1


def test_a_storage_that_is_too_slow_holds_nobody_up(
    make_system: MakeSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = make_system()
    old = put_old(system.database, 3)
    monkeypatch.setattr(removal, "REMOVE_FOR", -1.0)
    done = clean_here(system)
    assert (done.deleted, done.kept) == (0, 3)
    assert ids_in(system.database) == {*old}


# --- Being forgotten -------------------------------------------------------------------------


def make_old_and_due(system: System) -> None:
    with system.database.begin() as conn:
        moved = update(video_requests).values(
            created_at=c.created_at - timedelta(hours=2), due_at=func.now()
        )
        conn.execute(moved.where(c.forgotten_at.is_not(None), c.completed_at.is_not(None)))


def forget(system: System, user: str = "alice") -> Any:
    return privacy.forget(system.database, system.context.storage, user, is_counted=True)


def test_the_outputs_of_the_forgotten_go_at_once_and_the_old_rows_with_them(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    with system.database.begin() as conn:
        moment = now(conn)
        old = put(
            conn, *(values(Status.COMPLETED, moment - n * timedelta(days=9)) for n in range(1, 6))
        )
        [others] = put(conn, values(Status.COMPLETED, moment - timedelta(days=9), user_id="bob"))
    young = in_state(system.database, Status.COMPLETED, claim=uuid4())
    with_outputs(system, [*old, young, others])
    marked = forget(system)
    assert (marked.requests, marked.being_made) == (6, 0)
    assert ids_in(system.database) == {young, others}
    assert folders(system) == {others}
    assert system.row(young).prompt == ""
    assert system.row(young).gcs_prefix is None


def test_vd3_what_is_forgotten_before_it_was_started_leaves_the_mark_while_messages_may_come(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    waiting = admitted(system.database)
    for number in (1, 0):
        marked = forget(system)
        assert (marked.requests, marked.being_made) == (number, 0)
        # Nobody calls for it who has not heard of its end, though Postgres go now.
        assert system.has_marker(waiting)
    make_old_and_due(system)
    system.start_worker()
    until(lambda: not ids_in(system.database), what="the row is gone")
    assert not folders(system)


def test_vd3_a_request_that_is_forgotten_while_it_is_made_leaves_nothing(system: System) -> None:
    [request_id] = system.submit(new_request(generate_audio=False))
    system.wait_for_row(request_id, lambda row: row.status is Status.GENERATING)
    marked = forget(system)
    assert (marked.requests, marked.being_made) == (1, 1)
    system.wait_until_ended([request_id])
    until(lambda: request_id not in folders(system), what="the outputs are gone")
    row = system.wait_for_row(request_id, lambda row: row.gcs_prefix is None)
    assert row.status is Status.COMPLETED
    assert (row.prompt, row.video_urls, row.operation_name) == ("", None, None)
    assert system.events(request_id) == []
    make_old_and_due(system)
    until(lambda: not ids_in(system.database), what="the row is gone")
    with system.database.begin() as conn:
        [(user, _, created_at, _)] = remnants(conn)
    assert user == "alice"
    assert created_at < row.created_at
    system.wait_until_quiet()
    assert system.calls() == {request_id: 1}
    assert not [line for line in system.worker.lines if line["level"] in ("error", "critical")]


def test_a_message_that_comes_again_makes_nothing_anew(system: System) -> None:
    """It was not acknowledged, its request was made meanwhile, and its user is forgotten."""
    new = new_request(generate_audio=False)
    [message] = system.broker.record(lambda: chain.enqueue(new))
    system.broker.deliver(*message)
    system.wait_until_ended([new.id])
    forget(system)
    before = system.row(new.id)
    system.broker.deliver(*message)
    system.wait_until_quiet()
    assert system.row(new.id) == before
    assert system.calls() == {new.id: 1}


def test_a_message_that_comes_after_its_user_was_forgotten_makes_nothing(system: System) -> None:
    """What they ask for later is made."""
    before, after = (new_request(generate_audio=False) for _ in range(2))
    [message] = system.broker.record(lambda: chain.enqueue(before))
    forget(system)
    system.broker.deliver(*message)
    system.submit(after)
    system.wait_until_ended([after.id])
    system.wait_until_quiet()
    assert system.find(before.id) is None
    assert system.calls() == {after.id: 1}
    assert system.row(after.id).prompt == after.prompt


def test_what_a_dead_process_forgot_half_is_finished_by_the_sweeper(system: System) -> None:
    ids = put_old(system.database, 120)
    with_outputs(system, ids)
    with system.database.begin() as conn:
        statements.forget(conn, "alice")
    # The one who wrote this died here; his lease has run out.
    make_old_and_due(system)
    until(lambda: not ids_in(system.database), what="the rows are gone")
    assert folders(system) == set()


def test_the_forgotten_are_asked_for_once_a_lease(make_system: MakeSystem) -> None:
    system = make_system()
    put_old(system.database, 120)
    with system.database.begin() as conn:
        statements.forget(conn, "alice")
    make_old_and_due(system)
    for batches in (3, 0):
        sent = system.broker.record(lambda: sweeper.sweep(system.context))
        assert len(sent) == batches


def test_a_storage_that_fails_keeps_the_forgotten_for_later(make_system: MakeSystem) -> None:
    system = make_system()
    [request_id] = put_old(system.database, 1)
    system.videos.mkdir()
    (system.videos / str(request_id)).symlink_to(system.folder)
    forget(system)
    assert system.row(request_id).prompt == ""
    (system.videos / str(request_id)).unlink()
    assert privacy.remove(system.database, system.context.storage, [request_id]) == 1
    assert not ids_in(system.database)


def test_nothing_of_a_user_who_is_not_forgotten_is_removed(make_system: MakeSystem) -> None:
    system = make_system()
    ids = [*put_old(system.database, 3), admitted(system.database)]
    with_outputs(system, ids)
    assert privacy.remove(system.database, system.context.storage, ids) == 0
    assert ids_in(system.database) == folders(system) == {*ids}
