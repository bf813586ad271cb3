"""Kombu's way to Redis, by which a worker outlives a Redis that goes while it holds messages.

When the connection is lost, Celery closes it, and kombu wants to give the held messages back by a
connection that it has put together anew, of which it knows nothing any more. It stumbles, and the
worker dies of it. What is held then comes back after the visibility timeout, as of a dead worker.

Where Redis has no memory left and refuses to write, kombu loses the message that it takes then,
and the worker dies of any that it wants to give back. Here they are kept until there is memory: in
this process, and in Redis from then on, from where they come back as those of a dead worker.

And it makes a client of Redis for every command, which took an eighth of the main process's time
(see ``tests/benchmarks``). Here it is made once.
"""

from contextlib import suppress
from time import time
from typing import Any, Final

import structlog
from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.json import dumps
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected
from redis.exceptions import ExecAbortError, OutOfMemoryError
from redis.exceptions import TimeoutError as TimedOut

log = structlog.get_logger(__name__)

FULL: Final = (OutOfMemoryError, ExecAbortError)
"""How Redis refuses to write: before a transaction, or at its end."""

LOST: Final = (NotConnected, TimedOut)

_unnoted: dict[str, Any] = {}
"""Messages by their delivery tags. They outlive the connection that they came by."""
_given_back: set[str] = set()
"""Those of them whose tasks are over: held no more as soon as they are noted."""


class QoS(redis.QoS):
    """Kombu's own, but for a Redis that refuses to write.

    What cannot be noted as held is in this process alone until it can be, or is done; and it counts
    as held for as long as the connection lasts, so that no more is taken than may be.
    """

    def append(self, message: Any, delivery_tag: str) -> None:
        """Note that a message is held: it is out of its queue already."""
        try:
            super().append(message, delivery_tag)
        except FULL:
            _unnoted[delivery_tag] = message
            virtual.QoS.append(self, message, delivery_tag)
            log.error("message_not_noted", reason="Redis has no memory left")
        except LOST:
            # Nobody gets it: it is given back by the next connection.
            _unnoted[delivery_tag] = message
            _given_back.add(delivery_tag)
            raise

    def ack(self, delivery_tag: str) -> None:
        """It is done, and held no more."""
        _unnoted.pop(delivery_tag, None)
        super().ack(delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT002 -- kombu's
        """Give it back, now or after the visibility timeout; or be done with it."""
        if not requeue:
            _unnoted.pop(delivery_tag, None)
            super().reject(delivery_tag, requeue)
            return
        try:
            self._note()
            super().reject(delivery_tag, requeue)
        except FULL:
            log.error("message_not_given_back", reason="Redis has no memory left")
            if delivery_tag in _unnoted:
                _given_back.add(delivery_tag)
            else:
                virtual.QoS.ack(self, delivery_tag)

    def restore_visible(self, *args: Any, **kwargs: Any) -> None:
        """Look for what the dead have held. It comes again and again: the time to note the rest."""
        with suppress(*FULL):
            self._note()
            super().restore_visible(*args, **kwargs)

    def restore_unacked(self, client: Any = None) -> None:
        """Give back all that is held."""
        with suppress(*FULL):
            self._note()
        super().restore_unacked(client)

    def _note(self) -> None:
        """Note what could not be noted."""
        for delivery_tag, message in [*_unnoted.items()]:
            info = message.delivery_info
            held = dumps([message._raw, info["exchange"], info["routing_key"]])  # noqa: SLF001 -- as kombu
            # What is given back comes again at once, the rest after the visibility timeout.
            since = 0.0 if delivery_tag in _given_back else time()
            with self.pipe_or_acquire() as pipe:
                pipe.zadd(self.unacked_index_key, {delivery_tag: since})
                pipe.hset(self.unacked_key, delivery_tag, held).execute()
            _unnoted.pop(delivery_tag, None)
            if delivery_tag in _given_back:
                _given_back.remove(delivery_tag)
                virtual.QoS.ack(message.channel.qos, delivery_tag)


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
