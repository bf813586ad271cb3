"""Death while it is written down what happened without Postgres: written once, and whole (DG3)."""

from typing import Any, Final
from uuid import uuid4

import pytest

from tests.e2e.delivery import Asked
from tests.faults.conftest import Record
from tests.faults.ledger import Line, draw_up
from tests.faults.points import Death, Point
from tests.faults.scene import Scene, Victim, scene
from tests.workers.conftest import MakeSystem
from workers.app import VISIBILITY_TIMEOUT

SETTINGS: Final[dict[str, Any]] = {
    "SANDBOX_OUTCOME": "failed",
    "SANDBOX_SECONDS": 1,
    "RESCUE_AFTER_SECONDS": 1,
}
BOUND: Final = VISIBILITY_TIMEOUT + 60.0
"""Seconds until the message of a dead worker has come back, and was heard."""


def serve_without_postgres(scene: Scene, mark: str) -> Asked:
    """A request that was made and answered, of which Postgres knows nothing; nobody moves."""
    system, worker = scene.studio.system, scene.worker
    with system.postgres_away():
        asked = scene.ask(user_id=f"{mark}{uuid4()}")
        told = {"request_id": str(asked.id)}
        scene.studio.wait(lambda: worker.said("request_delivered", **told), "it is answered")
        worker.freeze()
    scene.gates.connect()
    assert system.find(asked.id) is None
    return asked


def write_and_die(scene: Scene, death: Death) -> Asked:
    """The same, and the death of the one who writes it down."""
    asked = serve_without_postgres(scene, scene.gates.mark(Point.ADMISSION, death))
    with scene.writing(Point.ADMISSION, death) as is_reached:
        scene.worker.thaw()
        is_reached()
        # All of it, or nothing.
        is_written = scene.studio.system.find(asked.id) is not None
        assert is_written is (death is Death.AFTER)
        scene.kill()
    return asked


@pytest.mark.parametrize(
    ("victim", "deaths"),
    [
        (Victim.CHILD, [Death.AFTER]),
        pytest.param(Victim.CHILD, [*Death], marks=pytest.mark.long),
        pytest.param(Victim.WORKER, [*Death], marks=pytest.mark.long),
    ],
)
def test_who_writes_it_down_dies(
    make_system: MakeSystem, record: Record, victim: Victim, deaths: list[Death]
) -> None:
    with scene(make_system, victim, **SETTINGS) as found:
        asked = {death: write_and_die(found, death) for death in deaths}
        lines = []
        for death, each in asked.items():
            found.studio.system.wait_for_row(
                each.id, lambda row: bool(row.delivered_at), within=BOUND
            )
            lines.append(draw_up(f"{victim}: written, {death}", found.studio, [each]))
        if victim is Victim.CHILD:
            # Whatever came again has come.
            found.studio.system.wait_until_quiet()
        record(*lines)
        for line, each in zip(lines, asked.values(), strict=True):
            assert line == Line(line.fault, 1, 1, 1, 1, lost=0, doubled=0)
            row = found.studio.system.row(each.id)
            story = found.studio.system.story(each.id)
            assert story == ["created", "generating", "failed", "failed", "delivered"]
            assert row.completed_at is not None
            assert row.delivered_at is not None
            assert row.created_at < row.completed_at < row.delivered_at
            assert found.used(each) == 1


def ask_anew_and_die(scene: Scene, when: Death) -> Asked:
    """A request that Postgres was away for and nobody began, and the death of who sends it anew."""
    request_id = uuid4()
    with scene.publishing("create_request", when, str(request_id)) as is_reached:
        with (
            scene.publishing("carry_on", Death.AFTER, str(request_id)) as goes_on,
            scene.studio.system.postgres_away(),
        ):
            asked = scene.ask(id=request_id)
            goes_on()
        is_reached()
        scene.kill()
    return asked


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_who_sends_it_anew_dies(make_system: MakeSystem, record: Record, victim: Victim) -> None:
    settings = {**SETTINGS, "RESCUE_AFTER_SECONDS": 5}
    with scene(make_system, victim, **settings) as found:
        asked = {when: ask_anew_and_die(found, when) for when in Death}
        for each in asked.values():
            found.wait_until_delivered(each, within=BOUND)
        lines = [
            draw_up(f"{victim}: sent anew, {when}", found.studio, [each])
            for when, each in asked.items()
        ]
        record(*lines)
        assert lines == [Line(line.fault, 1, 1, 1, 1, lost=0, doubled=0) for line in lines]
        assert [found.used(each) for each in asked.values()] == [1, 1]
