"""Redis goes while a worker has its messages: the worker lives, and goes on when it is back."""

from contextlib import ExitStack

from tests.db.rows import new_request
from tests.faults.servers import keeping
from tests.workers.conftest import MakeSystem
from tests.workers.waiting import until


def test_a_worker_that_holds_a_message_outlives_its_redis(make_system: MakeSystem) -> None:
    """While it waits for more: what it waits with is the first that it cannot close."""
    system = make_system(RESCUE_AFTER_SECONDS=1)
    with ExitStack() as stack:
        redis = stack.enter_context(keeping(system.broker.url))
        worker = system.start_worker()
        # To draw it takes a while.
        [request_id] = system.submit(new_request(duration_seconds=8, resolution="1080p"))
        until(lambda: system.has_marker(request_id), what="the worker is at it")
        redis.stop()
        until(lambda: "Restoring" in worker.log, what="it wants to give the message back")
        until(
            lambda: "Cannot connect" in worker.log or worker.status is not None,
            what="it has tried to connect",
        )
        assert worker.status is None
        redis.start()
        system.wait_until_ended([request_id])
