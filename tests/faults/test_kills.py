"""Death at every step of the chain: of a pool's child, of a whole worker, and in an orderly way.

Whatever dies and whenever: at most one paid call, an end for every request, no event twice, the
limits exact, and no message left over (DESIGN, 1 to 3; RT7).
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import pytest

from db import limits
from db.records import NewRequest
from db.states import Status
from tests.db.rows import new_request
from tests.faults.gates import Gates
from tests.faults.points import CHAIN, Death, Point
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers.app import TASK_TIME_LIMIT
from workers.providers.sandbox import SandboxProvider
from workers.settings import SandboxOutcome

AT_ONCE: Final = 2
"""Requests that die at each point."""
RESCUE_AFTER: Final = 3
"""Seconds."""
CLAIM_LEASE: Final = RESCUE_AFTER + SandboxProvider.call_time.total_seconds()
"""Seconds until somebody looks for what became of a call."""
SLACK: Final = 12
"""Seconds that the rest of the way may take on a busy machine."""

COMPLETED = ["created", "generating", "completed"]
TIMEOUT = ["created", "generating", "timeout"]
FAILED = ["created", "generating", "failed", "failed"]

DEATHS = [
    (point, death)
    for point in CHAIN
    for death in Death
    # A provider that stays busy keeps a request waiting for minutes.
    if (point, death) != (Point.RELEASE, Death.AFTER)
]

#: What the provider does of those who die at a point. Where it does not matter it fails, which
#: takes no time.
OUTCOMES = {
    Point.START: SandboxOutcome.COMPLETED,
    Point.COMPLETION: SandboxOutcome.COMPLETED,
    Point.TIMEOUT: SandboxOutcome.NEVER,
    Point.RELEASE: SandboxOutcome.BUSY,
}


class Victims(NamedTuple):
    """What was killed at one point."""

    system: System
    ids: list[UUID]


def asked(mark: str) -> NewRequest:
    """A request of a user of its own: those of one user are admitted one after the other."""
    return new_request(user_id=f"{mark}{uuid4()}", generate_audio=False)


def kill_at(system: System, gates: Gates, point: Point, death: Death) -> list[UUID]:
    """Let a few requests come to a point, and kill whoever brings them there."""
    # These two are written one after the other by one task, so only one can come to the gate.
    number = 1 if point in (Point.FAILURE, Point.TIMEOUT) else AT_ONCE
    with gates.closed(point, death) as gate:
        ids = system.submit(*(asked(gates.mark(point, death)) for _ in range(number)))
        waiting = gate.wait_for(number)
        assert set(waiting.values()) <= system.worker.children()
        if death is Death.BEFORE:
            gate.kill_before(waiting)
        else:
            gate.kill_after(waiting)
    return ids


def start(system: System, stack: ExitStack) -> Gates:
    """The system's gates, and a worker with a child more than we kill."""
    gates = stack.enter_context(closing(Gates(system.environment["DATABASE_URL"])))
    system.start_worker(concurrency=AT_ONCE + 1)
    return gates


@pytest.fixture(scope="module")
def victims(make_shared_system: MakeSystem) -> Iterator[dict[tuple[Point, Death], Victims]]:
    """All that was killed, by point. The ends of all are waited for together."""
    common = {"RESCUE_AFTER_SECONDS": RESCUE_AFTER, "DAILY_LIMIT": 5, "SANDBOX_SECONDS": 1}
    made: dict[SandboxOutcome, tuple[System, Gates]] = {}
    killed: dict[tuple[Point, Death], Victims] = {}
    with ExitStack() as stack:
        for point, death in DEATHS:
            outcome = OUTCOMES.get(point, SandboxOutcome.FAILED)
            timeout = 2 if outcome is SandboxOutcome.NEVER else 15
            if outcome not in made:
                system = make_shared_system(
                    SANDBOX_OUTCOME=outcome, GENERATION_TIMEOUT_SECONDS=timeout, **common
                )
                made[outcome] = (system, start(system, stack))
            system, gates = made[outcome]
            killed[point, death] = Victims(system, kill_at(system, gates, point, death))
        deadline = time.monotonic() + 15 + CLAIM_LEASE + SLACK
        for system, ids in killed.values():
            # Whatever has not ended by then is the business of the test of its point.
            with suppress(AssertionError):
                system.wait_until_ended(ids, within=deadline - time.monotonic())
        yield killed


def becomes(point: Point, death: Death) -> tuple[list[str], int]:
    """The story of a request that met death there, and how often it was paid for."""
    if (point, death) in ((Point.CLAIM, Death.AFTER), (Point.RELEASE, Death.BEFORE)):
        # Death between claim and call, or a claim that nobody could give back: nobody calls
        # again, nothing is found, and the place in the limit is given back.
        return TIMEOUT, 0
    if point is Point.TIMEOUT:
        return TIMEOUT, 1
    return COMPLETED if point in (Point.START, Point.COMPLETION) else FAILED, 1


@pytest.mark.parametrize(("point", "death"), DEATHS)
def test_a_child_dies(
    victims: dict[tuple[Point, Death], Victims], point: Point, death: Death
) -> None:
    system, ids = victims[point, death]
    story, calls = becomes(point, death)
    for row in system.wait_until_ended(ids, within=1):
        if not calls:
            assert row.started_at == row.claimed_at
            assert not row.counted
        if (point, death) == (Point.START, Death.BEFORE):
            # The name of the operation died with the one who had it; its output was found.
            assert row.operation_name is None
            assert row.started_at == row.claimed_at
        assert system.story(row.id) == story
        assert system.calls()[row.id] == calls
        assert row.due_at is None
        with system.database.autocommit() as conn:
            used = limits.get_rate_limit_info(conn, row.user_id, 5).used
        assert used == bool(calls)
    system.wait_until_quiet(about=ids)


def test_a_child_dies_in_the_middle_of_the_call(make_system: MakeSystem) -> None:
    """While the video is being made, in the folder of the request or not yet there."""
    system = make_system(RESCUE_AFTER_SECONDS=1, GENERATION_TIMEOUT_SECONDS=12, DAILY_LIMIT=5)
    worker = system.start_worker()
    [request_id] = system.submit(asked("call-"))
    until(lambda: system.has_marker(request_id), what="the call is being made")
    for child in worker.children():
        os.kill(child, signal.SIGKILL)
    [row] = system.wait_until_ended([request_id], within=40)
    system.wait_until_quiet()
    assert row.operation_name is None
    assert system.calls()[request_id] <= 1
    assert system.story(request_id) in (COMPLETED, TIMEOUT)
    assert row.counted == (row.status is Status.COMPLETED)
    # The log tells of it, as of everything.
    told = [line["event"] for line in worker.lines if line["logger"] == "multiprocessing"]
    assert [each.partition(" exited with ")[2] for each in told] == ["'signal 9 (SIGKILL)'"] * 2


def test_a_worker_dies_and_another_takes_over(make_system: MakeSystem) -> None:
    """Its messages come back much later; its requests fall due long before that."""
    system = make_system(
        RESCUE_AFTER_SECONDS=RESCUE_AFTER, GENERATION_TIMEOUT_SECONDS=30, SANDBOX_SECONDS=1
    )
    with closing(Gates(system.environment["DATABASE_URL"])) as gates:
        first = system.start_worker(concurrency=4)
        with (
            gates.closed(Point.START, Death.BEFORE) as called,
            gates.closed(Point.COMPLETION, Death.BEFORE) as made,
        ):
            orphans = [
                *system.submit(*(asked(gates.mark(Point.START, Death.BEFORE)) for _ in "12")),
                *system.submit(*(asked(gates.mark(Point.COMPLETION, Death.BEFORE)) for _ in "12")),
            ]
            waiting = [(gate, gate.wait_for(2)) for gate in (called, made)]
            first.kill()
            for gate, who in waiting:
                gate.drop(who)
    assert {row.status for row in system.rows(orphans)} == {Status.PENDING, Status.GENERATING}
    second = system.start_worker()
    by_name, by_output = orphans[2:], orphans[:2]
    system.wait_until_ended(by_name, within=RESCUE_AFTER + SLACK)
    system.wait_until_ended(by_output, within=CLAIM_LEASE + SLACK)
    for request_id in orphans:
        assert system.story(request_id) == COMPLETED
        assert system.calls()[request_id] == 1
    assert not second.said("start_accepted_late")
    # What is left of the first one's work lies where a redelivery finds it, and nowhere else.
    until(
        lambda: all(message.is_held for message in system.broker.messages()),
        what="nothing waits any more",
    )


def test_a_worker_is_asked_to_end_in_the_middle_of_its_work(make_system: MakeSystem) -> None:
    system = make_system(RESCUE_AFTER_SECONDS=RESCUE_AFTER)
    first = system.start_worker()
    ids = system.submit(*(asked("term-") for _ in range(8)))
    until(
        lambda: any(row.status is Status.COMPLETED for row in system.rows(ids)),
        what="the first has ended",
    )
    first.terminate()
    assert first.wait(within=TASK_TIME_LIMIT) == 0
    # It let go of everything it had.
    assert not [message for message in system.broker.messages() if message.is_held]
    left = [row for row in system.rows(ids) if not row.status.has_ended]
    assert len(system.rows(ids)) < len(ids) or left
    assert not [line for line in first.lines if line["level"] in ("error", "critical")]

    system.start_worker()
    system.wait_until_ended(ids)
    system.wait_until_quiet()
    for request_id in ids:
        assert system.story(request_id) == COMPLETED
        assert system.calls()[request_id] == 1
