"""Death of the sweeper, at each moment of a sweep: what it had moved on is found again."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from db.tables import start_turns
from tests.e2e.delivery import Asked
from tests.faults.conftest import Record
from tests.faults.ledger import Line, draw_up
from tests.faults.points import Death, Point
from tests.faults.scene import Reached, Scene, Victim, scene
from tests.workers.conftest import MakeSystem

AT_ONCE: Final = 3
"""Requests that one sweep finds."""
SETTINGS: Final[dict[str, Any]] = {
    "SANDBOX_OUTCOME": "failed",
    "SANDBOX_SECONDS": 1,
    "RESCUE_AFTER_SECONDS": 1,
}
BOUND: Final = 90.0
"""Seconds to the last answer: a worker that dies with a delivery in hand has a lease of 60 s."""

Place = Callable[[Scene, UUID], AbstractContextManager[Reached]]


def write(point: Point, death: Death) -> Place:
    return lambda scene, _: scene.writing(point, death)


def message(task: str, when: Death) -> Place:
    """A message about the last of the requests."""
    return lambda scene, last: scene.publishing(task, when, str(last))


#: By what the sweeper has done when it dies. The first is told apart by its users.
SWEEPS: Final[dict[str, tuple[Point | None, Death, Place]]] = {
    "nothing moved": (Point.SWEEP, Death.BEFORE, write(Point.SWEEP, Death.BEFORE)),
    "moved, nothing sent": (Point.SWEEP, Death.AFTER, write(Point.SWEEP, Death.AFTER)),
    "a start, not sent": (None, Death.BEFORE, message("start_generation", Death.BEFORE)),
    "a start, sent": (None, Death.AFTER, message("start_generation", Death.AFTER)),
    "polls, not sent": (None, Death.BEFORE, message("poll_operations", Death.BEFORE)),
    "polls, sent": (None, Death.AFTER, message("poll_operations", Death.AFTER)),
    "everything sent": (None, Death.BEFORE, write(Point.SWEPT, Death.BEFORE)),
}
TURNS: Final[dict[str, Place]] = {
    "lock held": write(Point.PACING, Death.BEFORE),
    "turn not given": write(Point.TURN, Death.BEFORE),
    "turn given": write(Point.TURN, Death.AFTER),
    "turn not sent": message("start_generation", Death.BEFORE),
    "turn sent": message("start_generation", Death.AFTER),
}
"""The same while it gives turns."""


def sweep_and_die(scene: Scene, name: str) -> list[Asked]:
    """Some requests whose messages were lost, and the death of the sweeper that finds them."""
    point, death, place = SWEEPS[name]
    mark = scene.gates.mark(point, death) if point else ""
    ids = [uuid4() for _ in range(AT_ONCE)]
    with place(scene, ids[-1]) as is_reached:
        asked = [scene.admit(id=each, user_id=f"{mark}{each}") for each in ids]
        is_reached()
        scene.kill()
    return asked


def give_and_die(scene: Scene, name: str) -> list[Asked]:
    """Some that wait for their turns, and the death of the one who gives them."""
    ids = [uuid4() for _ in range(AT_ONCE)]
    with TURNS[name](scene, ids[-1]) as is_reached:
        asked = [scene.admit(id=each) for each in ids]
        is_reached()
        scene.kill()
    return asked


def check(scene: Scene, asked: dict[str, list[Asked]], record: Record) -> None:
    """Each has ended, was paid for once, and was answered once."""
    studio = scene.studio
    for each in [one for several in asked.values() for one in several]:
        scene.wait_until_delivered(each, within=BOUND)
    lines = [draw_up(f"{scene.victim}: {name}", studio, each) for name, each in asked.items()]
    record(*lines)
    for line in lines:
        assert line == Line(line.fault, AT_ONCE, AT_ONCE, AT_ONCE, AT_ONCE, lost=0, doubled=0)


@pytest.mark.parametrize(
    ("victim", "names"),
    [
        (Victim.CHILD, ["moved, nothing sent", "a start, sent"]),
        pytest.param(Victim.CHILD, [*SWEEPS], marks=pytest.mark.long),
        pytest.param(Victim.WORKER, [*SWEEPS], marks=pytest.mark.long),
    ],
)
def test_the_sweeper_dies(
    make_system: MakeSystem, record: Record, victim: Victim, names: Sequence[str]
) -> None:
    with scene(make_system, victim, **SETTINGS) as found:
        check(found, {name: sweep_and_die(found, name) for name in names}, record)


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_who_gives_turns_dies(make_system: MakeSystem, record: Record, victim: Victim) -> None:
    limit = 3 * len(TURNS) * AT_ONCE
    with scene(make_system, victim, SANDBOX_STARTS_PER_MINUTE=limit, **SETTINGS) as found:
        asked = {name: give_and_die(found, name) for name in TURNS}
        check(found, asked, record)
        # A turn that nobody took is withdrawn, and counts for nothing.
        with found.studio.system.database.autocommit() as conn:
            turns = conn.execute(select(func.count()).select_from(start_turns)).scalar_one()
        assert turns <= len(TURNS) * AT_ONCE


@pytest.mark.long
@pytest.mark.parametrize("death", Death)
def test_the_sweeper_dies_with_an_answer_that_nobody_delivers(
    make_system: MakeSystem, record: Record, death: Death
) -> None:
    with scene(make_system, Victim.WORKER, **SETTINGS) as found:
        mark = found.gates.mark(Point.SWEEP_DELIVERY, death)
        with found.writing(Point.SWEEP_DELIVERY, death) as is_reached:
            with found.publishing("deliver", Death.BEFORE) as is_sent:
                asked = [found.ask(user_id=f"{mark}{uuid4()}")]
                is_sent()
                found.kill()
            is_reached()
            found.kill()
        found.wait_until_delivered(asked[0], within=BOUND)
        line = draw_up(f"an answer moved, {death}", found.studio, asked)
        record(line)
        assert line == Line(line.fault, 1, 1, 1, 1, lost=0, doubled=0)
