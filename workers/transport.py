"""Kombu's way to Redis, by which a worker outlives a Redis that goes while it holds messages.

When the connection is lost, Celery closes it, and kombu wants to give the held messages back by a
connection that it has put together anew, of which it knows nothing any more. It stumbles, and the
worker dies of it. What is held then comes back after the visibility timeout, as of a dead worker.

Where Redis has no memory left and refuses to write, kombu loses the message that it takes then,
and the worker dies of any that it wants to give back. Here they are kept until there is memory.

And it makes a client of Redis for every command, which took an eighth of the main process's time
(see ``tests/benchmarks``). Here it is made once.
"""

from contextlib import suppress
from time import time
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.json import dumps
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import OutOfMemoryError

log = structlog.get_logger(__name__)


class QoS(redis.QoS):
    """Kombu's own, but for a Redis that refuses to write.

    What cannot be noted as held is in this process alone until it can be, or is done.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._unnoted: dict[str, Any] = {}

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is held: it is out of its queue already."""
        try:
            super().append(message, delivery_tag)
        except OutOfMemoryError:
            self._unnoted[delivery_tag] = message
            virtual.QoS.append(self, message, delivery_tag)
            log.error("message_not_noted", reason="Redis has no memory left")

    def ack(self, delivery_tag: str) -> None:
        """It is done, and held no more."""
        self._unnoted.pop(delivery_tag, None)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT002 -- kombu's
        """Give it back, now or after the visibility timeout; or be done with it."""
        if not requeue:
            self._unnoted.pop(delivery_tag, None)
        try:
            self._note()
            super().reject(delivery_tag, requeue)
        except OutOfMemoryError:
            virtual.QoS.ack(self, delivery_tag)
            log.error("message_not_given_back", reason="Redis has no memory left")

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Look for what the dead have held. It comes every second: the time to note the rest."""
        with suppress(OutOfMemoryError):
            self._note()
            super().restore_visible(*args, **kwargs)

    def _note(self) -> None:
        for delivery_tag, message in list(self._unnoted.items()):
            info = message.delivery_info
            held = dumps([message._raw, info["exchange"], info["routing_key"]])  # noqa: SLF001 -- as kombu
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, {delivery_tag: time()})
                pipe.hset(self.unacked_key, delivery_tag, held).execute()
            del self._unnoted[delivery_tag]


class Channel(redis.Channel):
    """Kombu's own, but for an error that nobody expects, and a client made for each command."""

    QoS = QoS
    _made: Redis | None = None

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT002 -- kombu's
        if self.connection.client is None:
            # One that everybody does.
            raise NotConnected("the connection was closed")
        # The stubs know of nothing private.
        return super()._connparams(asynchronous)  # type: ignore[misc]

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT002 -- kombu's
        if asynchronous:
            return super()._create_client(asynchronous)  # type: ignore[misc]
        # A client is its pool, and kombu has another pool after it was disconnected.
        if self._made is None or self._made.connection_pool is not self.pool:
            self._made = super()._create_client()  # type: ignore[misc]
        return self._made


class Transport(redis.Transport):
    """Kombu's own, with that channel."""

    Channel = Channel


def use() -> None:
    """Have every connection to Redis of this process be made so."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
