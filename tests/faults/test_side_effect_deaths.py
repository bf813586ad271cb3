"""Death before and after everything that the chain does to the world, one after the other.

The paid call, the marker, the videos in the storage, the answer, progress, and each message: held
where it arrives, before it is done or before it is answered, while whoever did it is killed.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest

from db.states import Status
from tests.e2e.delivery import EDITS, Asked
from tests.e2e.discord import When
from tests.e2e.google import scripts
from tests.e2e.google.front import cloud_run
from tests.e2e.google.studio import Google
from tests.faults.conftest import Record
from tests.faults.ledger import Line, draw_up
from tests.faults.points import Death, Point
from tests.faults.scene import Reached, Scene, Victim, scene_at_google
from tests.workers.conftest import MakeSystem
from workers.app import TASK_TIME_LIMIT

TIMEOUT: Final = 15
"""Seconds that a request has."""
BOUND: Final = TIMEOUT + TASK_TIME_LIMIT + 45.0
"""Seconds from the last death to the last answer: a request's time and the lease of a delivery."""

Place = Callable[[Scene, Google, str], AbstractContextManager[Reached]]


def storage(pattern: str, *, is_after: bool) -> Place:
    """A call that reaches Cloud Storage."""
    return lambda scene, there, _: scene.calling(there.storage.traffic, pattern, is_after=is_after)


def vertex(pattern: str, *, is_after: bool) -> Place:
    """A call that reaches Vertex AI."""
    return lambda scene, there, _: scene.calling(there.vertex.traffic, pattern, is_after=is_after)


def paid_call(*, is_taken: bool) -> Place:
    """The paid call, which is taken or is not."""

    @contextmanager
    def calling(scene: Scene, there: Google, prompt: str) -> Iterator[Reached]:
        there.vertex.arrange(prompt, scripts.hangs(is_taken=is_taken), seconds=1)

        def is_reached() -> None:
            there.vertex.wait_for_start(prompt)
            [call] = [
                each for each in there.vertex.calls if each.is_start and each.prompt == prompt
            ]
            scene.assert_speaks(call.line)

        yield is_reached

    return calling


def discord(when: When, *, is_upload: bool) -> Place:
    """An edit of the answer: the video, or progress."""

    route = "*" if is_upload else EDITS
    return lambda scene, _, __: scene.saying(route, when, is_upload=is_upload)


def message(task: str, when: Death) -> Place:
    """A message to Redis."""
    return lambda scene, _, __: scene.publishing(task, when)


def write(point: Point) -> Place:
    """What a service has answered is about to be written."""
    return lambda scene, _, __: scene.writing(point)


@dataclass(frozen=True)
class Case:
    """Where death comes, and what the request comes to."""

    place: Place
    ends: Status = Status.COMPLETED
    #: The write whose gate stops the request.
    point: Point | None = None


LISTING: Final = "GET /storage/v1/b/*/o"
POLL: Final = "POST *:fetchPredictOperation"
MARK: Final = "POST /upload/*"

CASES: Final = {
    **{
        f"{task} sent, {when}": Case(message(task, when))
        for task in ("start_generation", "poll_operation", "finalize", "deliver")
        for when in Death
    },
    "progress, received": Case(discord(When.RECEIVED, is_upload=False)),
    "progress, applied": Case(discord(When.APPLIED, is_upload=False)),
    "poll, received": Case(vertex(POLL, is_after=False)),
    "poll, done": Case(vertex(POLL, is_after=True)),
    "listing, received": Case(storage(LISTING, is_after=False)),
    "listing, done": Case(storage(LISTING, is_after=True)),
    "paid call, taken": Case(paid_call(is_taken=True)),
    "paid call, answered": Case(write(Point.START), point=Point.START),
    "video read, received": Case(storage("GET /download/*", is_after=False)),
    "upload, received": Case(discord(When.RECEIVED, is_upload=True)),
    "upload, applied": Case(discord(When.APPLIED, is_upload=True)),
    "upload, answered": Case(write(Point.DELIVERY), point=Point.DELIVERY),
    # Nobody knows of these whether the call was made, and nobody makes it again.
    "mark, received": Case(storage(MARK, is_after=False), Status.TIMEOUT),
    "mark, done": Case(storage(MARK, is_after=True), Status.TIMEOUT),
    "paid call, received": Case(paid_call(is_taken=False), Status.TIMEOUT),
}


def die(scene: Scene, there: Google, name: str) -> Asked:
    """One request, and the death of whoever has it in hand at that place."""
    case = CASES[name]
    prompt = there.vertex.arrange(f"a fox: {name}", seconds=1)
    mark = scene.gates.mark(case.point, Death.BEFORE) if case.point else ""
    with case.place(scene, there, prompt) as is_reached:
        asked = scene.ask(prompt=prompt, **({"user_id": f"{mark}{uuid4()}"} if mark else {}))
        is_reached()
        scene.kill()
    return asked


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
def test_death_at_every_side_effect(
    make_system: MakeSystem, record: Record, tmp_path: Path, victim: Victim
) -> None:
    timeout = {"GENERATION_TIMEOUT_SECONDS": TIMEOUT}
    with scene_at_google(make_system, victim, tmp_path, **timeout) as (scene, there):
        studio, system = scene.studio, scene.studio.system
        asked: dict[str, Asked] = {}
        for name in CASES:
            asked[name] = die(scene, there, name)
            # What is left to do of one must not meet the place of the next.
            if CASES[name].ends is Status.COMPLETED:
                system.wait_until_ended([asked[name].id], within=BOUND)
                if victim is Victim.CHILD:
                    scene.wait_until_delivered(asked[name], within=BOUND)
        for each in asked.values():
            scene.wait_until_delivered(each, within=BOUND)
        lines = {name: draw_up(f"{victim}: {name}", studio, [each]) for name, each in asked.items()}
        record(*lines.values())
        for name, line in lines.items():
            row, case = system.row(asked[name].id), CASES[name]
            is_made = case.ends is Status.COMPLETED
            assert line.holds, line
            assert (line.accepted, line.ended, line.answers) == (1, 1, 1), line
            assert (row.status, line.paid_calls) == (case.ends, int(is_made)), line
            assert scene.used(asked[name]) == int(is_made), line
            assert len(asked[name].answer.attachments) == int(is_made), line
        assert studio.tokens() == sum(case.ends is Status.TIMEOUT for case in CASES.values())


@pytest.mark.long
@pytest.mark.parametrize("victim", Victim)
@pytest.mark.parametrize("is_after", [False, True])
def test_death_while_a_link_is_signed(
    make_system: MakeSystem, record: Record, tmp_path: Path, victim: Victim, is_after: bool
) -> None:
    """By IAM, for a video that Discord finds too large."""
    with scene_at_google(make_system, victim, tmp_path) as (scene, there):
        there.accounts.attached = there.cloud.account
        there.accounts.signers.add(there.cloud.account.email)
        with cloud_run(there.accounts, tmp_path) as keyless:
            scene.studio.system.environment |= keyless
            scene.worker.kill()
            scene.worker = scene.start_worker()
            too_large = scene.studio.discord.faults.refuse(EDITS, 413, times=2)
            too_large.only_uploads = True
            sign = scene.calling(
                there.accounts.traffic, "POST *:signBlob", is_after=is_after, is_direct=False
            )
            with sign as is_reached:
                asked = scene.ask(prompt=there.vertex.arrange("a fox that does not fit"))
                is_reached()
                scene.kill()
            scene.wait_until_delivered(asked, within=BOUND)
        name = "link signed" if is_after else "link asked for"
        line = draw_up(f"{victim}: {name}", scene.studio, [asked])
        record(line)
        assert line == Line(line.fault, 1, 1, 1, 1, lost=0, doubled=0)
        assert "X-Goog-Signature" in str(asked.answer.history)
