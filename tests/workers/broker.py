"""What lies on the broker, what is put there, and what goes over it to Flower."""

import base64
import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast
from uuid import UUID

import psutil
from kombu import pools
from redis import Redis

from tests.workers.waiting import PATIENCE
from workers.app import app

QUEUES: Final = tuple(queue.name for queue in app.conf.task_queues)


@dataclass(frozen=True, slots=True)
class Message:
    """A message on the broker; `is_held` if a worker has it and has not acknowledged it."""

    task: str
    task_id: str
    args: list[Any]
    is_held: bool
    queue: str
    expires: datetime | None
    eta: datetime | None
    #: The first message of its chain, which a link and the next one have in common.
    root_id: str

    @property
    def request_ids(self) -> list[UUID]:
        """The requests it is about."""
        first = self.args[0] if self.args else []
        return [UUID(text) for text in ([first] if isinstance(first, str) else first)]

    def expires_within(self, seconds: float) -> bool:
        """Whether whoever gets it that much later would throw it away."""
        moment = datetime.now(UTC) + timedelta(seconds=seconds)
        return self.expires is not None and self.expires <= moment

    @property
    def has_expired(self) -> bool:
        """Whether whoever gets it would throw it away."""
        return self.expires_within(0)


class Broker:
    """The system's Redis: what lies in it, and a way to put something there."""

    def __init__(self, url: str) -> None:
        self.url = url
        # Messages for nobody: no worker listens on this database.
        self._scratch_url = f"{url.rpartition('/')[0]}/1"
        self._client = Redis.from_url(url, socket_timeout=PATIENCE)

    def close(self) -> None:
        """Close every connection to it, those of the Celery application included."""
        self._client.close()
        for url in (self.url, self._scratch_url):
            connection = app.connection_for_write(url)
            for group in (pools.producers, pools.connections):
                # Those who publish in haste have a pool of their own.
                for key in [
                    each for each in map(_resource, group.values()) if _is(each, connection)
                ]:
                    group[key].force_close_all()
                    del group[key]

    def server(self) -> psutil.Process:
        """The Redis itself."""
        return psutil.Process(cast("dict[str, int]", self._client.info("server"))["process_id"])

    @contextmanager
    def in_use(self, url: str | None = None) -> Iterator[None]:
        """Have the Celery application of this process speak to this broker, for the block.

        There is one application a process, and it finds its broker once; its pools are kept by
        address, so it only has to look again.
        """
        forgetful = cast("Any", app)
        before = os.environ.get("CELERY_BROKER_URL")
        os.environ["CELERY_BROKER_URL"] = url or self.url
        forgetful._after_fork()
        try:
            yield
        finally:
            if before is None:
                del os.environ["CELERY_BROKER_URL"]
            else:
                os.environ["CELERY_BROKER_URL"] = before
            forgetful._after_fork()

    def messages(self, *, sweeps: bool = False) -> list[Message]:
        """All messages at one moment, those that a worker holds included."""
        with self._client.pipeline(transaction=True) as pipe:
            for queue in QUEUES:
                pipe.lrange(queue, 0, -1)
            pipe.hvals("unacked")
            *waiting, held = pipe.execute()
        found = [
            _message(json.loads(raw), queue, is_held=False)
            for queue, raws in zip(QUEUES, waiting, strict=True)
            for raw in raws
        ]
        for raw, _, queue in map(json.loads, held):
            found.append(_message(raw, queue, is_held=True))
        return [message for message in found if sweeps or message.task != "sweep"]

    def outstanding(self) -> Counter[UUID]:
        """How many messages there are about each request, the expired ones not counted."""
        return Counter(
            request_id
            for message in self.messages()
            if not message.has_expired
            for request_id in message.request_ids
        )

    def record(self, send: Callable[[], object]) -> list[tuple[str, bytes]]:
        """The raw messages that `send` sends, each with its queue. They reach nobody."""
        with self.in_use(self._scratch_url):
            send()
        with closing(Redis.from_url(self._scratch_url)) as scratch:
            recorded: list[tuple[str, bytes]] = []
            for queue in QUEUES:
                raws = cast("list[bytes]", scratch.lrange(queue, 0, -1))
                recorded += [(queue, raw) for raw in reversed(raws)]
            scratch.flushdb()
        return recorded

    def flush(self) -> None:
        """Have Redis forget everything."""
        self._client.flushall()

    def is_listened_to(self) -> bool:
        """Whether somebody waits for the next message."""
        return any("b" in each["flags"] for each in self._client.client_list())

    @contextmanager
    def full(self) -> Iterator[None]:
        """For the block, Redis has no memory left, and refuses to write."""
        self._client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            self._client.config_set("maxmemory", 0)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """For the block, Redis has thrown everybody out, and lets nobody in."""
        [before] = cast("dict[str, str]", self._client.config_get("maxclients")).values()
        self._client.config_set("maxclients", 1)
        self._client.client_kill_filter(_type="normal", skipme=True)
        try:
            yield
        finally:
            self._client.config_set("maxclients", before)

    def deliver(self, queue: str, *raw: bytes) -> None:
        """Put raw messages into a queue, as a redelivery does."""
        self._client.lpush(queue, *raw)

    def length(self, queue: str) -> int:
        """How many messages wait there."""
        return self._client.llen(queue)

    def take_next(self, queue: str) -> None:
        """Take the next message out of a queue, as a worker does that then dies."""
        self._client.rpop(queue)


def _resource(pool: Any) -> Any:
    """The connection that a pool of kombu's makes more of."""
    return pool.connections.connection if hasattr(pool, "connections") else pool.connection


def _is(one: Any, other: Any) -> bool:
    """Whether two connections lead to the same database, in whatever haste."""
    here, there = (
        (each.hostname, each.port, each.virtual_host, each.password) for each in (one, other)
    )
    return here == there


def _message(raw: Mapping[str, Any], queue: str, *, is_held: bool) -> Message:
    headers = raw["headers"]
    try:
        [args, *_] = json.loads(base64.b64decode(raw["body"]))
    except ValueError:
        args = []
    moments = [headers.get(name) for name in ("expires", "eta")]
    expires, eta = (datetime.fromisoformat(text) if text else None for text in moments)
    task, task_id = headers.get("task", "?"), headers.get("id", "?")
    root_id = headers.get("root_id") or task_id
    return Message(task, task_id, args, is_held, queue, expires, eta, root_id)


def altered(raw: bytes, *, body: bytes | None = None, **headers: object) -> bytes:
    """A raw message with another body, or with other headers."""
    message = json.loads(raw)
    message["headers"] |= headers
    if body is not None:
        message["body"] = base64.b64encode(body).decode()
    return json.dumps(message).encode()


class Watch:
    """What Flower is told: every Celery event, from now until :meth:`close`."""

    def __init__(self, url: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._connection = app.connection_for_read(url)
        self._receiver = app.events.Receiver(self._connection, handlers={"*": self.events.append})
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [event for event in list(self.events) if event["type"] == kind]

    def close(self) -> None:
        """Stop listening."""
        self._receiver.should_stop = True
        self._thread.join()
        self._connection.close()

    def _listen(self) -> None:
        with suppress(*self._connection.connection_errors):
            self._receiver.capture(limit=None, timeout=None, wakeup=False)
