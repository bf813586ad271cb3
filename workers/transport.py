"""Kombu's way to Redis, by which a worker outlives a Redis that goes while it holds messages.

When the connection is lost, Celery closes it, and kombu wants to give the held messages back by a
connection that it has put together anew, of which it knows nothing any more. It stumbles, and the
worker dies of it. What is held then comes back after the visibility timeout, as of a dead worker.

And it makes a client of Redis for every command, which took an eighth of the main process's time
(see ``tests/benchmarks``). Here it is made once.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected


class Channel(redis.Channel):
    """Kombu's own, but for an error that nobody expects, and a client made for each command."""

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
