"""Kombu's way to Redis, by which a worker outlives a Redis that goes while it holds messages.

When the connection is lost, Celery closes it, and kombu wants to give the held messages back by a
connection that it has put together anew, of which it knows nothing any more. It stumbles, and the
worker dies of it. What is held then comes back after the visibility timeout, as of a dead worker.

And Celery insists on its heartbeats: if one is due while Redis is away, the main process does
nothing but try it again until Redis is back, not even end when it is told to.

Of a chain that does little, two fifths of the main process's time went into telling events one by
one, and an eighth into making a client of Redis for every word (see ``tests/benchmarks``). Here
they are told together, and a client is made once.
"""

from typing import Any, Final

from celery import bootsteps
from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu.transport import TRANSPORT_ALIASES, redis
from redis import Redis
from redis.exceptions import ConnectionError as NotConnected

TOLD_WITHIN: Final = 0.1
"""Seconds that the event of a task waits for others, to be told with them; it has its own time."""


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


class Heard(EventDispatcher):
    """Celery's own, which tries nothing twice: the next heartbeat comes in two seconds."""

    def send(self, *args: Any, **fields: Any) -> Any:
        """Tell an event; where Redis is away, Celery keeps it until it has connected anew."""
        return super().send(*args, **{**fields, "retry": False})


class Told(Events):
    """Celery's own, with that dispatcher."""

    dispatcher_cls = f"{__name__}:Heard"


class Together(bootsteps.StartStopStep):
    """Has the events of a worker's tasks told together, not a message to Redis for each."""

    requires = ("celery.worker.consumer.events:Events",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._is_due = False

    def start(self, parent: Any) -> None:
        """Begin, at every connection."""
        if parent.hub is not None and parent.event_dispatcher is not None:
            parent.event_dispatcher.on_send_buffered = lambda: self._wait(parent)

    def stop(self, parent: Any) -> None:
        """Tell the rest, and nothing again that could not be told before."""
        self._tell(parent)

    def shutdown(self, parent: Any) -> None:
        """Tell of the tasks that have ended since, for which the worker has waited."""
        self._tell(parent)

    def _wait(self, parent: Any) -> None:
        if not self._is_due:
            self._is_due = True
            parent.timer.call_after(TOLD_WITHIN, self._tell, (parent,))

    def _tell(self, parent: Any) -> None:
        self._is_due = False
        if parent.event_dispatcher is not None:
            parent.event_dispatcher.flush(errors=False)


def use() -> None:
    """Have every connection to Redis of this process be made so."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
