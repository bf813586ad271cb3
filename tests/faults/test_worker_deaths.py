"""Death of a whole worker before and after every transition of the chain, and its messages."""

from contextlib import closing
from uuid import uuid4

import pytest

from tests.e2e.delivery import Asked
from tests.faults.conftest import Record
from tests.faults.gates import Gates
from tests.faults.ledger import draw_up
from tests.faults.points import Death, Point
from tests.faults.relay import relay
from tests.faults.scene import Scene, Victim, scene
from tests.faults.test_kills import COMPLETED, DEATHS, OUTCOMES, asked, becomes
from tests.workers.conftest import MakeSystem
from workers.app import VISIBILITY_TIMEOUT
from workers.settings import SandboxOutcome


def die(scene: Scene, point: Point, death: Death) -> Asked:
    """One request, and the death of the worker that brings it there."""
    with scene.writing(point, death) as is_reached:
        it = scene.ask(user_id=f"{scene.gates.mark(point, death)}{uuid4()}")
        is_reached()
        scene.kill()
    return it


@pytest.mark.long
@pytest.mark.parametrize("outcome", sorted({*OUTCOMES.values(), SandboxOutcome.FAILED}))
def test_a_worker_dies(make_system: MakeSystem, record: Record, outcome: SandboxOutcome) -> None:
    timeout = 2 if outcome is SandboxOutcome.NEVER else 15
    with scene(
        make_system,
        Victim.WORKER,
        SANDBOX_OUTCOME=outcome,
        SANDBOX_SECONDS=1,
        GENERATION_TIMEOUT_SECONDS=timeout,
        RESCUE_AFTER_SECONDS=1,
    ) as found:
        died = {
            (point, death): die(found, point, death)
            for point, death in DEATHS
            if OUTCOMES.get(point, SandboxOutcome.FAILED) is outcome
        }
        lines = []
        for (point, death), each in died.items():
            # What was not admitted lies in its message alone, which comes back so late.
            found.wait_until_delivered(each, within=VISIBILITY_TIMEOUT + 60.0)
            line = draw_up(f"worker: {point}, {death}", found.studio, [each])
            lines.append(line)
            story, calls = becomes(point, death)
            assert line.holds, line
            assert (line.ended, line.paid_calls, line.answers) == (1, calls, 1), line
            assert found.studio.system.story(each.id) == [*story, "delivered"], line
            assert found.used(each) == calls, line
        record(*lines)


@pytest.mark.long
def test_messages_of_a_dead_worker_come_back(make_system: MakeSystem) -> None:
    """Requests that were not even admitted are in their messages alone (RT7): they come back
    after the visibility timeout, in seconds. So do those of requests long ended: to no effect.

    Who looks for them may have died doing so.
    """
    system = make_system(RESCUE_AFTER_SECONDS=1)
    with (
        closing(Gates(system.environment["DATABASE_URL"])) as gates,
        relay(system.environment["REDIS_URL"]) as way,
    ):
        first = system.start_worker(concurrency=4, REDIS_URL=way.url)
        with (
            gates.closed(Point.ADMISSION, Death.BEFORE) as admission,
            gates.closed(Point.COMPLETION, Death.BEFORE) as completion,
        ):
            [unknown] = system.submit(asked(gates.mark(Point.ADMISSION, Death.BEFORE)))
            [known] = system.submit(asked(gates.mark(Point.COMPLETION, Death.BEFORE)))
            waiting = [(gate, gate.wait_for(1)) for gate in (admission, completion)]
            with way.held("SET", "unacked_mutex", when=Death.AFTER) as lock:
                lock.wait()
                first.kill()
            for gate, who in waiting:
                gate.drop(who)
    system.start_worker()
    [before] = system.wait_until_ended([known])
    assert system.find(unknown) is None
    system.wait_until_ended([unknown], within=VISIBILITY_TIMEOUT + 60.0)
    system.wait_until_quiet()
    assert system.row(known) == before
    for request_id in (unknown, known):
        assert system.story(request_id) == COMPLETED
        assert system.calls()[request_id] == 1
