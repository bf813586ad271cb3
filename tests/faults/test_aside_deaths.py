"""Death in what is done beside a request's way: refusals, places in line, and late videos."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, Final

import pytest

from db.states import Status
from tests.e2e.delivery import EDITS, Asked
from tests.e2e.discord import Person, When
from tests.e2e.test_places import time_passes
from tests.faults.conftest import Record
from tests.faults.ledger import Line, draw_up
from tests.faults.points import Death, Point
from tests.faults.scene import Reached, Scene, Victim, scene
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until
from workers.app import TASK_TIME_LIMIT, VISIBILITY_TIMEOUT

REDELIVERED: Final = VISIBILITY_TIMEOUT + 60.0
"""Seconds until the message of a dead worker has come back, and has been heard."""

Place = Callable[[Scene], AbstractContextManager[Reached]]


def edit(route: str, when: When) -> Place:
    """Something that is said in Discord."""

    return lambda scene: scene.saying(route, when)


def message(task: str, when: Death) -> Place:
    return lambda scene: scene.publishing(task, when)


def write(point: Point, death: Death) -> Place:
    return lambda scene: scene.writing(point, death)


# --- Refusals, of which there is no row ----------------------------------------------------------

REFUSALS: Final[dict[str, Place]] = {
    "refusal not sent": message("deliver_refusal", Death.BEFORE),
    "refusal sent": message("deliver_refusal", Death.AFTER),
    "refusal received": edit(EDITS, When.RECEIVED),
    "refusal applied": edit(EDITS, When.APPLIED),
}
WRITES: Final = "POST /channels/*"
ALL_USED: Final = "of the last 24 hours is used"


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_who_refuses_dies(make_system: MakeSystem, record: Record, victim: Victim) -> None:
    with scene(make_system, victim, SANDBOX_OUTCOME="failed", DAILY_LIMIT=1) as found:
        refused: dict[str, Asked] = {}
        for name, place in REFUSALS.items():
            person = one_whose_limit_is_used(found)
            with place(found) as is_reached:
                refused[name] = found.studio.ask(person)
                is_reached()
                found.kill()
        person = one_whose_limit_is_used(found)
        with edit(WRITES, When.APPLIED)(found) as is_reached:
            # By a message in the channel, which is the same one when it is sent again.
            silent = found.studio.ask(person, has_token=False)
            is_reached()
            found.kill()
        for asked in refused.values():
            asked.answer.wait_for_text(ALL_USED, within=REDELIVERED)
        until(
            lambda: found.worker.said("refusal_delivered", request_id=str(silent.id)),
            what="the last one is told again",
            within=REDELIVERED,
        )
        refused["refusal in the channel applied"] = silent
        lines = [line_of_refusal(found, name, each) for name, each in refused.items()]
        record(*lines)
        assert lines == [Line(line.fault, 0, 0, 0, answers=1, lost=0, doubled=0) for line in lines]


def line_of_refusal(scene: Scene, name: str, asked: Asked) -> Line:
    """As in the ledger, of what has no row."""
    # An edit that is made again tells the same, and how long it takes; a message is another one.
    answers = int(ALL_USED in asked.answer.content)
    answers += sum(ALL_USED in each.content for each in asked.person.pings)
    is_accepted = scene.studio.system.find(asked.id) is not None
    return Line(
        f"{scene.victim}: {name}",
        accepted=int(is_accepted),
        ended=0,
        paid_calls=scene.studio.system.calls()[asked.id],
        answers=answers,
        lost=int(not answers),
        doubled=max(0, answers - 1),
    )


def one_whose_limit_is_used(scene: Scene) -> Person:
    asked = scene.ask()
    scene.wait_until_delivered(asked, within=REDELIVERED)
    return asked.person


# --- Places in line ------------------------------------------------------------------------------

PLACES: Final[dict[str, Place]] = {
    "place not sent": message("tell_places", Death.BEFORE),
    "place sent": message("tell_places", Death.AFTER),
    "place received": edit(EDITS, When.RECEIVED),
    "place applied": edit(EDITS, When.APPLIED),
}


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_who_tells_places_dies(make_system: MakeSystem, record: Record, victim: Victim) -> None:
    settings: dict[str, Any] = {
        "SANDBOX_OUTCOME": "failed",
        "SANDBOX_STARTS_PER_MINUTE": 1,
        "RESCUE_AFTER_SECONDS": 1,
    }
    with scene(make_system, victim, **settings) as found:
        first = found.ask()
        found.wait_until_delivered(first, within=REDELIVERED)
        lines = []
        for name, place in PLACES.items():
            with place(found) as is_reached:
                asked = found.ask()
                is_reached()
                found.kill()
            time_passes(found.studio, 60)
            found.wait_until_delivered(asked, within=REDELIVERED)
            # No place is told after the answer.
            assert "was not made" in asked.answer.content
            lines.append(draw_up(f"{victim}: {name}", found.studio, [asked]))
        record(*lines)
        assert lines == [Line(line.fault, 1, 1, 1, 1, lost=0, doubled=0) for line in lines]


# --- Videos that are late ------------------------------------------------------------------------

LATE: Final[dict[str, Place]] = {
    "look, moved": write(Point.LOOK, Death.AFTER),
    "look, not moved": write(Point.LOOK, Death.BEFORE),
    "look not sent": message("look_for_late", Death.BEFORE),
    "look sent": message("look_for_late", Death.AFTER),
    "found, not written": write(Point.LATE_RESULT, Death.BEFORE),
    "found, written": write(Point.LATE_RESULT, Death.AFTER),
    "apology not sent": message("deliver_late", Death.BEFORE),
    "apology sent": message("deliver_late", Death.AFTER),
    "apology received": edit(WRITES, When.RECEIVED),
    "apology applied": edit(WRITES, When.APPLIED),
    "apology, not written": write(Point.LATE_DELIVERY, Death.BEFORE),
    "apology, written": write(Point.LATE_DELIVERY, Death.AFTER),
}


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_who_brings_late_videos_dies(
    make_system: MakeSystem, record: Record, victim: Victim
) -> None:
    settings: dict[str, Any] = {
        "SANDBOX_SECONDS": 3600,
        "GENERATION_TIMEOUT_SECONDS": 1,
        "RESCUE_AFTER_SECONDS": 1,
    }
    with scene(make_system, victim, **settings) as found:
        system = found.studio.system
        late: dict[str, Asked] = {}
        for name, place in LATE.items():
            late[name] = found.ask()
            found.wait_until_delivered(late[name], within=REDELIVERED)
            with place(found) as is_reached:
                os.utime(system.videos / str(late[name].id) / "sample_0.mp4")
                is_reached()
                found.kill()
            if victim is Victim.CHILD:
                wait_for_apology(found, late[name])
        for asked in late.values():
            wait_for_apology(found, asked)
        lines = [line_of_late(found, name, asked) for name, asked in late.items()]
        record(*lines)
        assert lines == [Line(line.fault, 1, 1, 1, answers=2, lost=0, doubled=0) for line in lines]


def line_of_late(scene: Scene, name: str, asked: Asked) -> Line:
    """As in the ledger, of what is answered twice: that it timed out, and with the video."""
    system = scene.studio.system
    row, story = system.row(asked.id), system.story(asked.id)
    assert (row.status, row.billed) == (Status.TIMEOUT, True), name
    is_whole = story[:4] == ["created", "generating", "timeout", "delivered"]
    is_whole &= sorted(story[4:]) == ["delivered", "late_result"]
    videos = [each for message in asked.person.pings for each in message.attachments]
    line = draw_up(f"{scene.victim}: {name}", scene.studio, [asked])
    doubled = max(0, line.answers - 2) + max(0, line.paid_calls - 1)
    return replace(line, lost=int(not is_whole or len(videos) != 1), doubled=doubled)


def wait_for_apology(scene: Scene, asked: Asked) -> None:
    until(
        lambda: len(scene.studio.told(asked, "delivered")) == 2,
        what="the apology is there",
        within=TASK_TIME_LIMIT + 60.0,
    )
