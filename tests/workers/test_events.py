"""What a worker tells of its tasks, for Flower: everything, and in few words."""

from collections import Counter
from contextlib import closing
from typing import Any, cast

import pytest
from kombu import Connection
from redis import Redis

from tests.db.rows import new_request
from tests.workers.broker import Watch
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers.chain import LINKS

TOLD_BY_A_WORKER = ("task-received", "task-started", "task-succeeded")


@pytest.fixture
def system(make_system: MakeSystem) -> System:
    system = make_system()
    system.start_worker(concurrency=1)
    return system


def _wait_for_chains(watch: Watch, number: int) -> None:
    """Wait until so many have been told of at each link, from being received to success."""

    def missing() -> list[str]:
        names = {each["uuid"]: each["name"] for each in watch.of_type("task-received")}
        told = Counter(
            (names.get(each["uuid"]), kind)
            for kind in TOLD_BY_A_WORKER
            for each in watch.of_type(kind)
        )
        return [
            f"{kind} of {link}"
            for kind in TOLD_BY_A_WORKER
            for link in LINKS
            if told[link, kind] < number
        ]

    until(lambda: not missing(), what="every task is told of")


def test_events_are_told_together(system: System) -> None:
    number = 20
    with system.watch() as watch, closing(Redis.from_url(system.broker.url)) as client:
        words = cast("Any", client).pubsub()
        words.psubscribe("*celeryev/task.multi")
        system.worker.freeze()
        system.submit(*(new_request() for _ in range(number)))
        system.worker.thaw()
        _wait_for_chains(watch, number)
        count = 0
        while word := words.get_message():
            count += word["type"] == "pmessage"
    told = sum(len(watch.of_type(kind)) for kind in TOLD_BY_A_WORKER)
    assert told >= number * len(LINKS) * len(TOLD_BY_A_WORKER)
    assert 0 < count < told / 3


def test_events_are_told_after_redis_has_closed_every_connection(system: System) -> None:
    with closing(Redis.from_url(system.broker.url)) as client:
        client.client_kill_filter(_type="normal")
    with system.watch() as watch:
        [request_id] = system.submit(new_request())
        system.wait_until_ended([request_id])
        _wait_for_chains(watch, 1)


def test_the_last_events_of_a_worker_that_ends_are_told(system: System) -> None:
    with system.watch() as watch:
        [request_id] = system.submit(new_request())
        system.wait_until_ended([request_id])
        until(lambda: not system.broker.messages(sweeps=True), what="all is acknowledged")
        system.worker.terminate()
        _wait_for_chains(watch, 1)


def test_a_channel_makes_one_client_for_each_pool_of_connections(system: System) -> None:
    with Connection(system.broker.url) as connection:
        channel: Any = connection.default_channel

        def client() -> object:
            with channel.conn_or_acquire() as found:
                found.ping()
                return found

        first = client()
        assert client() is first
        channel._disconnect_pools()
        assert client() is not first
