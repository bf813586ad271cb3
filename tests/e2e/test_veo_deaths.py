"""Vertex AI that is not there, and workers that die of it: one paid call, one video (DESIGN, 2)."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from db.states import Status
from tests.e2e.delivery import Asked, Studio
from tests.e2e.discord import FakeDiscord, Person, fake_discord
from tests.e2e.google import scripts
from tests.e2e.google.clip import clip
from tests.e2e.google.studio import Google, closed_port, opened, veo_studio
from tests.workers.conftest import MakeSystem
from tests.workers.running import Process
from tests.workers.waiting import until


@dataclass(frozen=True)
class Ground:
    """One Google and one system; the tests start its workers, and kill them."""

    there: Google
    studio: Studio

    def wait_for_video(self, asked: Asked) -> None:
        """Until it is where it was asked for."""
        self.studio.wait_until_delivered(asked)
        assert self.studio.system.row(asked.id).status is Status.COMPLETED
        [video] = asked.answer.attachments
        assert video.content == clip()


@pytest.fixture(scope="module")
def ground(
    make_shared_system: MakeSystem, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with ExitStack() as stack:
        discord = stack.enter_context(fake_discord())
        folder = tmp_path_factory.mktemp("google")
        there, studio = veo_studio(
            stack, make_shared_system, discord, folder, GENERATION_TIMEOUT_SECONDS=20
        )
        yield Ground(there, studio)


@pytest.fixture
def discord(ground: Ground) -> FakeDiscord:
    return ground.studio.discord


def test_a_worker_that_is_killed_when_its_call_was_accepted_is_paid_for_once(
    ground: Ground, ana: Person
) -> None:
    there, studio = ground.there, ground.studio
    prompt = there.vertex.arrange(
        "a fox that outlives its worker", scripts.hangs(is_taken=True), seconds=None
    )
    doomed = studio.system.start_worker()
    asked = studio.ask(ana, prompt=prompt)
    there.vertex.wait_for_start(prompt)
    doomed.kill()
    heir = studio.system.start_worker()
    # It is looked for in vain, until it is there.
    studio.system.wait_for_row(asked.id, lambda row: row.attempts > 1)
    there.vertex.finish(prompt)
    ground.wait_for_video(asked)
    heir.kill()
    assert len(there.vertex.starts(prompt)) == 1
    assert studio.system.row(asked.id).operation_name is None
    assert studio.system.story(asked.id)[-3:] == ["generating", "completed", "delivered"]


def test_a_connection_that_is_cut_after_the_call_was_sent_is_paid_for_once(
    ground: Ground, ana: Person
) -> None:
    there, studio = ground.there, ground.studio
    prompt = there.vertex.arrange(
        "a fox of whom nobody was told", scripts.cuts(is_taken=True), seconds=None
    )
    worker = studio.system.start_worker()
    asked = studio.ask(ana, prompt=prompt)
    until(
        lambda: worker.said("start_outcome_unknown", request_id=str(asked.id)),
        what="its outcome is unknown",
    )
    there.vertex.finish(prompt)
    ground.wait_for_video(asked)
    worker.kill()
    assert len(there.vertex.starts(prompt)) == 1
    assert there.vertex.polls(prompt) == 0


def test_nobody_at_the_door_is_no_call_and_the_request_waits(ground: Ground, ana: Person) -> None:
    studio, port = ground.studio, closed_port()
    worker = studio.system.start_worker(GOOGLE_VERTEX_BASE_URL=f"http://127.0.0.1:{port}")
    asked = studio.ask(ana, prompt="a fox before closed doors")
    [line, *_] = until(
        lambda: worker.said("start_not_taken", request_id=str(asked.id)),
        what="the call was not taken",
    )
    assert "no connection to Vertex AI: ConnectError" in line["reason"]
    assert studio.system.row(asked.id).status is Status.PENDING
    with opened(ground.there.cloud, port=port) as vertex:
        ground.wait_for_video(asked)
        assert len(vertex.starts("a fox before closed doors")) == 1
    worker.kill()


def test_a_worker_does_not_start_with_a_model_that_google_has_retired(
    ground: Ground, tmp_path: Path
) -> None:
    environment = {**ground.studio.system.environment, "VEO_MODEL": "veo-3.0-generate-001"}
    worker = Process(["worker"], environment, tmp_path / "worker.log")
    try:
        assert worker.wait() == 2
    finally:
        worker.kill()
    assert "VEO_MODEL: Google retired the model veo-3.0-generate-001 on 2026-06-30;" in worker.log
