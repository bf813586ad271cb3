"""What a worker tells of its tasks, for Flower: everything, and in few words."""

import base64
import json
from collections import Counter
from contextlib import closing
from typing import Any, cast

import psutil
import pytest
from kombu import Connection
from redis import Redis
from sqlalchemy import text

from tests.db.rows import new_request
from tests.workers.broker import Watch
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import until
from workers.chain import LINKS
from workers.task_events import TOLD_WITHIN

FULL = 24
"""Events in a message of Celery's, at most."""
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
    number = 10
    with system.watch() as watch, closing(Redis.from_url(system.broker.url)) as client:
        words = cast("Any", client).pubsub()
        words.psubscribe("*celeryev/task.multi")
        system.worker.freeze()
        system.submit(*(new_request() for _ in range(number)))
        system.worker.thaw()
        _wait_for_chains(watch, number)
        told: list[list[float]] = []
        while word := words.get_message():
            if word["type"] == "pmessage":
                events = json.loads(base64.b64decode(json.loads(word["data"])["body"]))
                told.append([each["timestamp"] for each in events])
    assert len(told) > 1
    # A message is full now and then, and then another may come at once.
    assert not [
        (one, other)
        for before, one, other in zip([[], *told], told, told[1:], strict=False)
        if max(len(before), len(one)) < FULL and other[0] - one[0] < 0.9 * TOLD_WITHIN
    ]


def test_events_are_told_after_redis_has_closed_every_connection(system: System) -> None:
    system.submit(*(new_request() for _ in range(5)))
    with closing(Redis.from_url(system.broker.url)) as client:
        until(
            lambda: any(each.is_held for each in system.broker.messages()),
            what="the worker is busy",
        )
        client.client_kill_filter(_type="normal")
    with system.watch() as watch:
        [request_id] = system.submit(new_request())
        system.wait_until_ended([request_id])
        _wait_for_chains(watch, 1)


def test_a_task_that_ends_with_its_worker_is_told_of(system: System) -> None:
    worker = system.worker
    threads = psutil.Process(worker.pid).num_threads()
    with system.watch() as watch:
        with system.database.begin() as conn:
            conn.execute(text("LOCK TABLE video_requests"))
            system.submit(new_request())
            until(lambda: _told(watch, "task-started"), what="it runs")
            worker.terminate()
            until(
                lambda: psutil.Process(worker.pid).num_threads() > threads,
                what="the worker waits for its child",
            )
        worker.wait()
        until(lambda: _told(watch, "task-succeeded"), what="its end is told")


def _told(watch: Watch, kind: str) -> list[str]:
    """What is told so of the first links."""
    names = {each["uuid"]: each["name"] for each in watch.of_type("task-received")}
    uuids = [each["uuid"] for each in watch.of_type(kind)]
    return [uuid for uuid in uuids if names.get(uuid) == LINKS[0]]


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
