"""Servers that fail for a moment, just when it matters: nothing is paid twice, nothing is lost."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from db.errors import PoolExhausted
from db.meanwhile import Meanwhile
from db.records import NewRequest, Request
from db.states import Status
from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers import admitting, chain, following, outage, starting
from workers.attempts import LOOKS, MAX_ATTEMPTS
from workers.chain import BrokerUnavailable
from workers.providers.sandbox import SandboxProvider
from workers.settings import SandboxOutcome
from workers.starting import Step
from workers.storage import StorageUnavailable
from workers.storage.folder import FolderStorage


class Accepting(SandboxProvider):
    """The sandbox, at whose every acceptance something happens."""

    def __init__(
        self, folder: Path, then: Callable[[], object], *, outcome: SandboxOutcome
    ) -> None:
        super().__init__(folder, seconds=0, outcome=outcome)
        self._then = then

    def start(self, request: Request, prefix: str) -> str:
        try:
            return super().start(request, prefix)
        finally:
            self._then()


@contextmanager
def hiccup(system: System, logs: list[Any]) -> Iterator[Callable[[], None]]:
    """A way to send Postgres away until the first write has failed for it."""
    with ExitStack() as away:

        def come_back() -> None:
            until(
                lambda: [line for line in logs if line["event"] == "start_not_written"],
                what="a write has failed",
            )
            away.close()

        waiting = threading.Thread(target=come_back)

        def go() -> None:
            away.enter_context(system.postgres_away())
            waiting.start()

        yield go
        waiting.join()


@pytest.mark.parametrize(
    ("outcome", "status"),
    [(SandboxOutcome.COMPLETED, Status.GENERATING), (SandboxOutcome.REFUSED, Status.FAILED)],
)
def test_what_the_provider_said_is_written_on_a_later_try(
    make_system: MakeSystem, outcome: SandboxOutcome, status: Status
) -> None:
    system = make_system()
    new = new_request(generate_audio=False)
    admitting.admit(system.context, new)
    with capture_logs() as logs, hiccup(system, logs) as go:
        context = replace(system.context, provider=Accepting(system.videos, go, outcome=outcome))
        step = starting.start(context, new.id)
    assert step is (Step.DONE if status is Status.GENERATING else Step.STOPPED)
    row = system.row(new.id)
    assert row.status is status
    is_accepted = outcome is SandboxOutcome.COMPLETED
    assert system.calls() == ({new.id: 1} if is_accepted else {})
    tries = [line for line in logs if line["event"] == "start_not_written"]
    assert {line["log_level"] for line in tries} == {"warning"}
    if is_accepted:
        # Had every try failed, an operator could still find the operation.
        assert {line["operation_name"] for line in tries} == {row.operation_name}


class Unsure(FolderStorage):
    """Makes the marker and then says that something went wrong, the first `times` times."""

    def __init__(self, root: Path, times: int) -> None:
        super().__init__(root)
        self._times = times

    def create_marker(self, prefix: str, claim: UUID) -> bool:
        is_ours = super().create_marker(prefix, claim)
        if self._times:
            self._times -= 1
            raise StorageUnavailable("The answer was lost")
        return is_ours


def test_a_marker_that_was_made_although_the_storage_said_no_is_ones_own(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    new = new_request(generate_audio=False)
    context = replace(system.context, storage=Unsure(system.videos, times=1))
    admitting.admit(context, new)
    assert starting.start(context, new.id) is Step.DONE
    assert system.row(new.id).status is Status.GENERATING
    assert system.calls() == {new.id: 1}


def test_whoever_cannot_tell_whose_a_marker_is_makes_no_call(make_system: MakeSystem) -> None:
    system = make_system()
    new = new_request(generate_audio=False)
    context = replace(system.context, storage=Unsure(system.videos, times=2))
    admitting.admit(context, new)
    assert starting.start(context, new.id) is Step.STOPPED
    row = system.row(new.id)
    assert (row.status, row.claim) == (Status.PENDING, None)
    # The next claim meets a mark that is not its own: for all it knows, the call was made.
    assert starting.start(context, new.id) is Step.STOPPED
    assert system.row(new.id).claim is not None
    assert not system.calls()


def test_where_nothing_can_be_stored_no_call_is_made_and_the_user_is_told(
    make_system: MakeSystem,
) -> None:
    """After as many attempts as to a provider that is too busy."""
    system = make_system()
    new = new_request(generate_audio=False)
    (system.folder / "full").touch()
    context = replace(system.context, storage=FolderStorage(system.folder / "full"))
    admitting.admit(context, new)
    with system.database.begin() as conn:
        conn.execute(text("UPDATE video_requests SET attempts = :most"), {"most": MAX_ATTEMPTS})
    with capture_logs() as logs:
        assert starting.start(context, new.id) is Step.STOPPED
    row = system.row(new.id)
    assert (row.status, row.error_code, row.billed) == (Status.FAILED, "storage", False)
    assert not system.calls()
    [told] = [line for line in logs if line["event"] == "start_given_up"]
    assert str(system.folder / "full") in told["reason"]


def finished(system: System) -> tuple[UUID, Path]:
    """A request whose operation has ended, and its video."""
    new = new_request(generate_audio=False)
    admitting.admit(system.context, new)
    assert starting.start(system.context, new.id) is Step.DONE
    [video] = (system.videos / str(new.id)).glob("*.mp4")
    return new.id, video


def shows_at(video: Path, moment: float) -> None:
    """A file that is dated ahead does not show in the storage."""
    os.utime(video, (moment, moment))


def test_a_video_that_shows_late_is_a_video(make_system: MakeSystem) -> None:
    system = make_system()
    request_id, video = finished(system)
    shows_at(video, time.time() + 3600)
    for attempt in (1, 2):
        assert look(system, request_id) is Step.STOPPED
        row = system.row(request_id)
        assert (row.status, row.attempts) == (Status.GENERATING, attempt)
        assert row.due_at is not None
        assert row.due_at > datetime.now(UTC)
    shows_at(video, time.time() - 1)
    assert following.finalize(system.context, request_id) is Step.DONE
    row = system.row(request_id)
    assert (row.status, row.video_urls) == (Status.COMPLETED, [video.as_uri()])


def test_a_video_that_never_shows_is_a_failure(make_system: MakeSystem) -> None:
    system = make_system()
    request_id, video = finished(system)
    shows_at(video, time.time() + 3600)
    looks = looks_until_the_end(system, request_id)
    row = system.row(request_id)
    assert (looks, row.status, row.error_code) == (LOOKS, Status.FAILED, "no_video")


def test_a_storage_that_cannot_be_read_is_waited_for_as_one_that_takes_no_mark(
    make_system: MakeSystem,
) -> None:
    system = make_system()
    request_id, video = finished(system)
    # Nothing can be told of it.
    video.with_name("gone.mp4").symlink_to("nowhere")
    looks = looks_until_the_end(system, request_id)
    row = system.row(request_id)
    assert (looks, row.status, row.error_code) == (MAX_ATTEMPTS + 1, Status.FAILED, "storage")


def look(system: System, request_id: UUID) -> Step:
    """As the sweeper has it done: it asks whether it is done, and then for its video."""
    assert following.follow(system.context, [request_id]) == [request_id]
    return following.finalize(system.context, request_id)


def looks_until_the_end(system: System, request_id: UUID) -> int:
    """How often it is looked for."""
    for number in count(1):
        assert look(system, request_id) is Step.STOPPED
        if system.row(request_id).status.has_ended:
            return number
    raise AssertionError


def test_a_message_that_redis_did_not_confirm_may_be_sent_again(make_system: MakeSystem) -> None:
    """It stood still, and had the message in its ears: it arrives twice, and is one request."""
    system = make_system()
    [first] = system.submit(new_request(user_id="before", generate_audio=False))
    new = new_request(generate_audio=False)
    server = system.broker.server()
    server.suspend()
    try:
        begin = time.monotonic()
        with pytest.raises(BrokerUnavailable, match="did not confirm"):
            system.submit(new)
        seconds = time.monotonic() - begin
    finally:
        server.resume()
    assert chain.PATIENCE <= seconds < 5 * chain.PATIENCE
    system.submit(new)
    assert system.broker.outstanding() == {first: 1, new.id: 2}
    system.start_worker()
    system.wait_until_ended([first, new.id])
    system.wait_until_quiet()
    assert system.calls() == {first: 1, new.id: 1}
    assert system.story(new.id) == ["created", "generating", "completed"]


def test_rl1_who_asks_in_a_hiccup_of_postgres_is_held_to_the_limit(
    make_system: MakeSystem,
) -> None:
    system = make_system(DAILY_LIMIT=2)
    asked = [new_request(user_id="greedy") for _ in range(5)]
    with system.broker.in_use():
        for new in asked:
            # The worker that found Postgres away has sent this, and by now Postgres is back.
            outage.carry_on(system.context, Meanwhile(new, datetime.now(UTC)), None)
    assert not system.calls()
    system.start_worker()
    until(
        lambda: (
            sum(row is not None and row.status.has_ended for row in map(system.find, ids(asked)))
            == 2
        ),
        what="what the limit allows is made",
    )
    system.wait_until_quiet()
    assert sum(system.find(each) is not None for each in ids(asked)) == 2
    assert sum(system.calls().values()) == 2


def test_dg5_a_pool_that_is_exhausted_is_no_outage(make_system: MakeSystem) -> None:
    system = make_system()
    known = Meanwhile(new_request(), datetime.now(UTC))
    with pytest.raises(PoolExhausted):
        outage.take_over(system.context, known, None, PoolExhausted("all are in use"))


def ids(asked: list[NewRequest]) -> list[UUID]:
    return [each.id for each in asked]
