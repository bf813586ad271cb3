"""Pacing by real workers: whose turn it is not waits, and no message with it."""

import base64
import json
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db import keeping, pacing
from db.states import Status
from tests.db.rows import new_request
from tests.faults.gates import Gates
from tests.faults.points import Death, Point
from tests.workers.broker import altered
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import admitting, chain, starting, turns
from workers.app import STARTING
from workers.starting import Step

PER_MINUTE = 2
CROWD = 5000


@pytest.fixture
def system(make_system: MakeSystem) -> System:
    """Videos that fail at once cost as much pacing as any, and no time."""
    return make_system(SANDBOX_OUTCOME="failed", SANDBOX_STARTS_PER_MINUTE=PER_MINUTE)


@pytest.fixture
def gates(system: System) -> Iterator[Gates]:
    with closing(Gates(system.environment["DATABASE_URL"])) as found:
        yield found


def ask(system: System, *, user: str = "alice") -> UUID:
    """One more request, once it is started or in line: the next one comes after it."""
    [request_id] = system.submit(new_request(user_id=user, generate_audio=False))
    wait_for_place(system, request_id)
    return request_id


def wait_for_place(system: System, request_id: UUID) -> None:
    system.wait_for_row(
        request_id, lambda row: row.claim is not None or place(system, request_id) is not None
    )


def place(system: System, request_id: UUID) -> int | None:
    with system.database.autocommit() as conn:
        return pacing.place(conn, request_id)


def places(system: System, request_ids: list[UUID]) -> list[int | None]:
    return [place(system, each) for each in request_ids]


def send_in_a_crowd(system: System, number: int) -> None:
    """The messages of so many new requests, as fast as Redis takes them."""
    first = new_request(generate_audio=False)
    [(queue, raw)] = system.broker.record(lambda: chain.enqueue(first))
    body = base64.b64decode(json.loads(raw)["body"])

    def of_another() -> bytes:
        old, new = str(first.id).encode(), str(uuid4()).encode()
        return altered(raw.replace(old, new), body=body.replace(old, new))

    system.broker.deliver(queue, *(of_another() for _ in range(number)))


def sweeps(system: System, in_line: UUID, *, times: int = 2) -> None:
    """Until so many more sweeps have come by somebody who stands in line."""
    for _ in range(times):
        with system.database.begin() as conn:
            conn.execute(
                text("UPDATE video_requests SET due_at = now() WHERE id = :id"), {"id": in_line}
            )
        wait_for_place(system, in_line)


def calls_to_come(system: System) -> int:
    """Of how many the end is not known, so that they may still be made."""
    with system.database.autocommit() as conn:
        to_come = text("SELECT count(*) FROM start_turns WHERE reaches_by > now()")
        return int(conn.execute(to_come).scalar_one())


def pass_a_minute(system: System) -> None:
    """As if the calls that were made had been made a minute earlier."""
    with system.database.begin() as conn:
        conn.execute(text("UPDATE start_turns SET reaches_by = reaches_by - interval '1 minute'"))


def test_two_workers_make_no_more_calls_a_minute_than_they_may(system: System) -> None:
    system.start_worker()
    system.start_worker()
    asked = [ask(system, user=f"user {number}") for number in range(5)]
    system.wait_until_ended(asked[:2])
    # Whoever waits costs no message.
    system.wait_until_quiet()
    sweeps(system, asked[-1])
    # The minute began when the provider answered.
    assert calls_to_come(system) == 0
    assert system.calls() == dict.fromkeys(asked[:2], 1)
    assert places(system, asked) == [None, None, 1, 2, 3]
    assert system.overdue(0) == 0
    # One of them goes, and the next move up.
    with system.database.begin() as conn:
        keeping.delete(conn, asked[2], by="user 2")
    assert places(system, asked[2:]) == [None, 1, 2]
    pass_a_minute(system)
    system.wait_until_ended(asked)
    assert system.calls() == dict.fromkeys(asked[:2] + asked[3:], 1)
    assert "Traceback" not in system.log


def test_a_long_queue_of_new_requests_holds_up_nobodys_turn(make_system: MakeSystem) -> None:
    """A turn lapses in five seconds here, and the queue takes much longer."""
    system = make_system(
        SANDBOX_OUTCOME="failed",
        SANDBOX_STARTS_PER_MINUTE=PER_MINUTE,
        RESCUE_AFTER_SECONDS=5,
    )
    send_in_a_crowd(system, CROWD)
    system.start_worker()
    until(lambda: system.calls().total() == PER_MINUTE, what="the first calls")
    until(lambda: calls_to_come(system) == 0, what="they are answered")
    pass_a_minute(system)
    until(lambda: system.calls().total() == 2 * PER_MINUTE, what="the next calls")
    assert system.broker.length(STARTING) > CROWD / 2
    assert set(system.calls().values()) == {1}


def test_ones_backlog_does_not_hold_up_anothers_first_request(system: System) -> None:
    system.start_worker()
    system.wait_until_ended([ask(system, user="greedy") for _ in range(PER_MINUTE)])
    backlog = [ask(system, user="greedy") for _ in range(3)]
    newcomer = ask(system, user="bob")
    assert places(system, backlog) == [1, 3, 4]
    assert place(system, newcomer) == 2


def test_a_worker_that_dies_when_it_is_its_requests_turn(system: System, gates: Gates) -> None:
    system.start_worker()
    with gates.closed(Point.CLAIM, Death.BEFORE) as gate:
        new = new_request(user_id=gates.mark(Point.CLAIM, Death.BEFORE), generate_audio=False)
        system.submit(new)
        waiting = gate.wait_for(1)
        system.worker.kill()
        gate.drop(waiting)
    system.start_worker()
    [ended] = system.wait_until_ended([new.id])
    assert ended.status is Status.FAILED
    assert system.calls() == {new.id: 1}


def test_a_call_that_is_not_taken_is_a_call(make_system: MakeSystem) -> None:
    """The provider is busy, and hears of nobody more often than it said."""
    system = make_system(SANDBOX_OUTCOME="busy", SANDBOX_STARTS_PER_MINUTE=PER_MINUTE)
    system.start_worker()
    [request_id] = system.submit(new_request())
    # It backs off, has another turn, backs off, and waits for the minute to be over.
    system.wait_for_row(
        request_id, lambda row: row.attempts == PER_MINUTE and place(system, request_id) == 1
    )
    sweeps(system, request_id)
    assert system.row(request_id).attempts == PER_MINUTE
    pass_a_minute(system)
    system.wait_for_row(request_id, lambda row: row.attempts > PER_MINUTE)


def test_pacing_is_switched_on_and_off_by_a_restart(make_system: MakeSystem) -> None:
    system = make_system(SANDBOX_OUTCOME="failed")
    paced = system.start_worker(SANDBOX_STARTS_PER_MINUTE=1)
    asked = [ask(system, user=f"user {number}") for number in range(3)]
    system.wait_until_ended(asked[:1])
    assert places(system, asked) == [None, 1, 2]
    paced.terminate()
    assert paced.wait() == 0
    system.start_worker()
    system.wait_until_ended(asked)
    assert system.calls() == dict.fromkeys(asked, 1)


def test_whoever_is_late_for_a_turn_makes_no_call(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = new_request()
    admitting.admit(system.context, new)
    with system.database.begin() as conn:
        given = pacing.give(
            conn, limit=1, valid=timedelta(seconds=30), lead=turns.lead(system.context)
        )
    assert given == [new.id]
    monkeypatch.setattr(turns, "CALL_WITHIN", timedelta(0))
    assert starting.start(system.context, new.id) is Step.STOPPED
    assert not system.calls()
    assert not system.has_marker(new.id)
    assert system.row(new.id).claim is None
