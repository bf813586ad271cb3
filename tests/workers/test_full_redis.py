"""Redis has no memory left, or is gone, just when a request is in a message alone.

Kombu loses the one that it takes then, and Celery drops one of which Redis takes no next one.
"""

from uuid import UUID

from db.states import Status
from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.running import Hasty, Worker
from tests.workers.waiting import until
from workers.app import STARTING


def wait_for_rejection(system: System, task: str) -> None:
    """Until a worker has given up sending a task's next message."""
    until(
        lambda: [
            line
            for line in system.worker.lines
            if line["event"].startswith(f"Task {task}[") and "reject requeue" in line["event"]
        ],
        what=f"{task} cannot be tried again",
    )


def freeze(system: System, worker: Worker) -> None:
    """Stop a worker in the moment in which it waits for a message: it is to get the next one."""
    system.wait_until_quiet()

    def listens() -> bool:
        worker.freeze()
        if system.broker.is_listened_to():
            return True
        worker.thaw()
        return False

    until(listens, what="it stands still and waits for a message")


def assert_made_once(system: System, request_id: UUID) -> None:
    """The worker is the same one, and has made its video."""
    [row] = system.wait_until_ended([request_id])
    assert row.status is Status.COMPLETED
    assert system.calls()[request_id] == 1
    assert system.worker.status is None


def test_a_video_that_waits_for_postgres_stays(make_system: MakeSystem) -> None:
    system = make_system()
    system.start_worker(kind=Hasty)
    with system.postgres_away():
        [request_id] = system.submit(new_request())
        until(
            lambda: [
                each
                for each in system.broker.messages()
                if each.task == "carry_on" and each.args[1].get("status") == Status.COMPLETED
            ],
            what="its video is made, and waits to be written down",
        )
        with system.broker.full():
            wait_for_rejection(system, "carry_on")
    assert_made_once(system, request_id)


def test_a_request_that_was_just_taken_stays(make_system: MakeSystem) -> None:
    system = make_system()
    worker = system.start_worker(kind=Hasty)
    freeze(system, worker)
    with system.postgres_away():
        [request_id] = system.submit(new_request())
        with system.broker.full():
            worker.thaw()
            wait_for_rejection(system, "create_request")
            until(lambda: worker.said("message_not_given_back"), what="the worker keeps it")
        assert worker.said("message_not_noted")
    assert_made_once(system, request_id)


def test_a_request_that_was_just_taken_when_redis_went_stays(make_system: MakeSystem) -> None:
    system = make_system()
    worker = system.start_worker(kind=Hasty)
    freeze(system, worker)
    [request_id] = system.submit(new_request())
    until(lambda: not system.broker.length(STARTING), what="Redis has handed it out")
    with system.broker.alone():
        worker.thaw()
        until(lambda: "Connection to broker lost" in worker.log, what="nor can it be noted")
    assert_made_once(system, request_id)
