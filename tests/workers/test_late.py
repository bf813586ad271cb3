"""A real worker looks for videos that missed their time, however the call had ended (EV1, VD2)."""

import os
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db.records import NewRequest
from db.standing import Scope
from db.states import Status
from tests.db.rows import new_request
from tests.db.test_budgets import allow, counters
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import privacy
from workers.settings import SandboxOutcome

COSTS = Decimal("0.4000")


def late_system(make_system: MakeSystem, **environment: object) -> System:
    """One in which every video misses its time."""
    return make_system(
        SANDBOX_SECONDS=3600,
        SANDBOX_PRICE_PER_SECOND="0.1",
        GENERATION_TIMEOUT_SECONDS=1,
        RESCUE_AFTER_SECONDS=1,
        **environment,
    )


@pytest.fixture(scope="module")
def system(make_shared_system: MakeSystem) -> Iterator[System]:
    """One whose calls are answered."""
    found = late_system(make_shared_system)
    found.start_worker()
    yield found
    # Whatever happens, a video is paid for once.
    assert {*found.calls().values()} == {1}


def asked(**changes: object) -> NewRequest:
    return new_request(**{"user_id": f"user-{uuid4()}", "generate_audio": False} | changes)


def time_out(system: System, new: NewRequest) -> None:
    system.submit(new)
    [row] = system.wait_until_ended([new.id])
    assert row.status is Status.TIMEOUT


def appear(system: System, request_id: UUID) -> str:
    """The video is there now; its address."""
    video = system.videos / str(request_id) / "sample_0.mp4"
    os.utime(video)
    return video.as_uri()


def test_ev1_a_late_video_is_kept_and_the_status_stays(system: System) -> None:
    new = asked()
    time_out(system, new)
    before = system.row(new.id)
    address = appear(system, new.id)
    after = system.wait_for_row(new.id, lambda row: row.is_late)
    assert after.video_urls == [address]
    assert (after.status, after.error_message, after.completed_at) == (
        Status.TIMEOUT,
        "Generation timed out after 1 second",
        before.completed_at,
    )
    assert system.story(new.id) == ["created", "generating", "timeout", "late_result"]
    system.wait_until_quiet()
    assert system.story(new.id)[-1] == "late_result"


def test_vd2_a_storage_that_does_not_answer_is_asked_again(system: System) -> None:
    new = asked()
    time_out(system, new)
    # Not even root can look at this.
    loop = system.videos / str(new.id) / "loop.mp4"
    loop.symlink_to(loop)
    until(
        lambda: system.worker.said("outputs_unavailable", request_id=str(new.id)),
        what="the storage fails",
    )
    loop.unlink()
    appear(system, new.id)
    assert system.wait_for_row(new.id, lambda row: row.is_late).status is Status.TIMEOUT


def test_re1_what_appears_when_its_user_is_forgotten_does_not_stay(system: System) -> None:
    new = asked()
    time_out(system, new)
    folder = system.videos / str(new.id)
    aside = folder.rename(folder.with_name("late"))
    privacy.forget(system.database, system.context.storage, new.user_id, is_counted=True)
    assert not folder.exists()
    aside.rename(folder)
    appear(system, new.id)
    until(lambda: not folder.exists(), what="it is removed")
    system.wait_until_quiet()
    row = system.row(new.id)
    assert (row.prompt, row.video_urls, row.billed) == ("", None, True)
    assert system.events(new.id) == []


def test_rl7_a_call_of_unknown_outcome_whose_video_came_late_is_billed_after_all(
    make_system: MakeSystem,
) -> None:
    system = late_system(make_system, SANDBOX_OUTCOME=SandboxOutcome.UNKNOWN)
    allow(system.database, 100, Scope.ALL)
    new = asked(cost_usd=COSTS)
    system.start_worker()
    system.submit(new)
    system.wait_for_row(new.id, lambda row: row.claim is not None)
    until(lambda: system.calls()[new.id] == 1, what="the call is made")
    system.wait_until_quiet()
    with system.database.begin() as conn:
        conn.execute(text("UPDATE video_requests SET due_at = now()"))
    [row] = system.wait_until_ended([new.id])
    assert (row.status, row.billed, row.counted) == (Status.TIMEOUT, False, False)
    assert counters(system.database) == {("all", "", "day"): 0}
    address = appear(system, new.id)
    row = system.wait_for_row(new.id, lambda row: row.is_late)
    assert (row.status, row.billed, row.counted) == (Status.TIMEOUT, True, False)
    assert row.video_urls == [address]
    assert row.gcs_prefix == system.context.storage.prefix_for(new.id)
    assert counters(system.database) == {("all", "", "day"): COSTS}
    assert [
        each.event_data for each in system.events(new.id) if each.event_type == "late_result"
    ] == [{"videos": 1, "billed_after_all": True}]
    assert system.calls() == {new.id: 1}
