"""Death of a whole worker before and after every transition of the chain."""

from uuid import uuid4

import pytest

from tests.e2e.delivery import Asked
from tests.faults.ledger import draw_up, table
from tests.faults.points import Death, Point
from tests.faults.scene import Scene, Victim, scene
from tests.faults.test_kills import DEATHS, OUTCOMES, becomes
from tests.workers.conftest import MakeSystem
from workers.app import VISIBILITY_TIMEOUT
from workers.settings import SandboxOutcome


def die(scene: Scene, point: Point, death: Death) -> Asked:
    """One request, and the death of the worker that brings it there."""
    with scene.writing(point, death) as is_reached:
        asked = scene.ask(user_id=f"{scene.gates.mark(point, death)}{uuid4()}")
        is_reached()
        scene.kill()
    return asked


@pytest.mark.long
@pytest.mark.parametrize("outcome", sorted({*OUTCOMES.values(), SandboxOutcome.FAILED}))
def test_a_worker_dies(make_system: MakeSystem, outcome: SandboxOutcome) -> None:
    timeout = 2 if outcome is SandboxOutcome.NEVER else 15
    with scene(
        make_system,
        Victim.WORKER,
        SANDBOX_OUTCOME=outcome,
        SANDBOX_SECONDS=1,
        GENERATION_TIMEOUT_SECONDS=timeout,
        RESCUE_AFTER_SECONDS=1,
    ) as found:
        asked = {
            (point, death): die(found, point, death)
            for point, death in DEATHS
            if OUTCOMES.get(point, SandboxOutcome.FAILED) is outcome
        }
        lines = []
        for (point, death), each in asked.items():
            # What was not admitted lies in its message alone, which comes back so late.
            found.wait_until_delivered(each, within=VISIBILITY_TIMEOUT + 60.0)
            line = draw_up(f"worker: {point}, {death}", found.studio, [each])
            lines.append(line)
            story, calls = becomes(point, death)
            assert line.holds, line
            assert (line.ended, line.paid_calls, line.answers) == (1, calls, 1), line
            assert found.studio.system.story(each.id) == [*story, "delivered"], line
            assert found.used(each) == calls, line
        print(table(lines))
