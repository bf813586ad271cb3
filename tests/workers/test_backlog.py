"""A long queue is no dead follower, and an empty one has lost what is due (DESIGN, 3)."""

import base64
import functools
import json
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, text, update

from db.engine import Database
from db.errors import DatabaseUnavailable
from db.settings import DatabaseSettings
from db.states import Status
from db.tables import video_requests
from tests.db.rows import admitted, in_state, new_request
from tests.db.test_late_results import change, find, timed_out
from tests.workers.broker import altered
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import chain, outage, sweeper
from workers.app import DELIVERING, SENT_AT, STARTING

WAITING: Final = 50_000


def overdue(system: System, count: int) -> list[UUID]:
    """Requests that were admitted half a minute ago and more, and wait to be started."""
    insert = text(
        """
        INSERT INTO video_requests (
          user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
          status, due_at
        )
        SELECT 'user ' || n, 'guild', 'channel', 'A prompt', 4, '16:9', '720p',
          'pending', now() - interval '1 second'
        FROM generate_series(1, :count) AS n
        RETURNING id
        """
    )
    settings = DatabaseSettings.model_validate({"database_url": system.environment["DATABASE_URL"]})
    with (
        closing(Database(settings, answer_timeout=timedelta(minutes=1))) as patient,
        patient.begin() as conn,
    ):
        return list(conn.execute(insert, {"count": count}).scalars())


def send_starts(system: System, request_ids: Sequence[UUID], *, seconds_ago: float) -> None:
    """The messages that they wait for, as their admissions sent them."""
    send = functools.partial(chain.resume, request_ids[0], at="start_generation")
    [(queue, raw)] = system.broker.record(send)
    [_, *rest] = json.loads(base64.b64decode(json.loads(raw)["body"]))
    bodies = (json.dumps([[str(each)], *rest]).encode() for each in request_ids)
    sent_at = {SENT_AT: (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat()}
    system.broker.deliver(queue, *(altered(raw, body=body, **sent_at) for body in bodies))


def sweep(system: System) -> float:
    """One sweep; the seconds it took."""
    with system.broker.in_use():
        begun = time.monotonic()
        sweeper.sweep(system.context)
        return time.monotonic() - begun


def test_a_backlog_of_50_000_is_left_alone_and_found_when_it_is_lost(
    make_system: MakeSystem,
) -> None:
    system = make_system(RESCUE_AFTER_SECONDS=30)
    ids = overdue(system, WAITING)
    send_starts(system, ids, seconds_ago=31)
    # However busy this machine is: what grows with the queue takes long each time.
    assert min(sweep(system) for _ in range(3)) < 1
    assert system.broker.length(STARTING) == WAITING

    system.broker.flush()
    for _ in range(2):
        sweep(system)
    assert system.broker.length(STARTING) == 2 * sweeper.AT_ONCE
    assert set(system.broker.outstanding().values()) == {1}


def test_a_lost_start_is_found_behind_a_backlog(make_system: MakeSystem) -> None:
    """As soon as what was sent after it was due is next in the queue."""
    system = make_system(RESCUE_AFTER_SECONDS=30)
    [lost, first] = overdue(system, 2)
    send_starts(system, [first], seconds_ago=31)
    later = admitted(system.database)
    send_starts(system, [later], seconds_ago=0)
    sweep(system)
    assert system.broker.outstanding() == {first: 1, later: 1}
    system.broker.take_next(STARTING)
    sweep(system)
    assert system.broker.outstanding() == {lost: 1, first: 1, later: 1}
    # Nor is it sent again.
    sweep(system)
    assert system.broker.outstanding() == {lost: 1, first: 1, later: 1}


def test_an_answer_that_waits_in_a_queue_is_not_sent_again(make_system: MakeSystem) -> None:
    system = make_system(RESCUE_AFTER_SECONDS=30)
    request_id = in_state(
        system.database, Status.FAILED, claim=uuid4(), channel_id="123456789012345678"
    )
    with system.broker.in_use():
        chain.deliver(request_id)
    with system.database.autocommit() as conn:
        conn.execute(text("UPDATE video_requests SET delivery_due_at = now()"))
    sweep(system)
    assert system.broker.outstanding() == {request_id: 1}
    system.broker.take_next(DELIVERING)
    sweep(system)
    assert system.broker.outstanding() == {request_id: 1}
    sweep(system)
    assert system.broker.outstanding() == {request_id: 1}


def test_after_an_outage_only_what_was_due_in_it_is_left_alone_for_a_while(
    make_system: MakeSystem,
) -> None:
    """It may have gone on without Postgres, and be about to be written."""
    system = make_system(RESCUE_AFTER_SECONDS=5)
    [before] = overdue(system, 1)
    answered = in_state(
        system.database, Status.FAILED, claim=uuid4(), channel_id="123456789012345678"
    )
    make_due_now(system, "delivery_due_at", answered)
    late = timed_out(system.database)
    find(system.database, late)
    change(system.database, late, "delivery_due_at = now()")
    with system.postgres_away():
        with pytest.raises(DatabaseUnavailable) as met:
            sweep(system)
        # As the task does then.
        outage.take_over_seen(system.context, met.value)
    sweep(system)
    assert not system.broker.outstanding()
    after = admitted(system.database)
    make_due_now(system, "due_at", after)
    sweep(system)
    assert system.broker.outstanding() == {after: 1}

    def all_are_sent() -> bool:
        sweep(system)
        return {before, answered, late} <= {*system.broker.outstanding()}

    until(all_are_sent, what="the time for that is over")


def make_due_now(system: System, column: str, request_id: UUID) -> None:
    """Its time has come in this moment."""
    due = update(video_requests).where(video_requests.c.id == request_id)
    with system.database.begin() as conn:
        conn.execute(due.values({column: func.now()}))


def test_whatever_redis_forgets_every_accepted_request_ends(make_system: MakeSystem) -> None:
    system = make_system(RESCUE_AFTER_SECONDS=2, SANDBOX_OUTCOME="failed")
    system.start_worker()
    ids = system.submit(*(new_request(user_id=f"user {n}") for n in range(80)))
    until(lambda: len(system.rows(ids)) >= 20, what="some are accepted")
    system.broker.flush()
    system.wait_until_ended([row.id for row in system.rows(ids)])
    # What a worker held was accepted a moment later.
    accepted = [row.id for row in system.rows(ids)]
    assert {row.status for row in system.wait_until_ended(accepted)} == {Status.FAILED}
    assert system.calls() == Counter(accepted)


def test_what_is_made_ends_before_anything_else_is_asked_about(make_system: MakeSystem) -> None:
    """Turn about with the polls that send them, endings that are late would be late for ever."""
    system = make_system()
    with system.broker.in_use():
        for _ in range(20):
            chain.poll_together([uuid4()], expires_at=datetime.now(UTC) + timedelta(minutes=1))
            chain.resume(uuid4(), at="finalize")
    worker = system.start_worker(concurrency=1)

    def begun() -> list[str]:
        """The names of the tasks that the worker has received, in that order."""
        lines = [str(line["event"]) for line in worker.lines]
        found = [line for line in lines if line.endswith(" received")]
        return [line.split("[")[0] for line in found if "finalize" in line or "poll" in line]

    until(lambda: len(begun()) == 40, what="all are received")
    assert begun() == ["Task finalize"] * 20 + ["Task poll_operations"] * 20
