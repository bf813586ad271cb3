"""Kombu's way to Redis, by which a worker outlives a Redis that goes while it holds messages.

When the connection is lost, Celery closes it, and kombu wants to give the held messages back by a
connection that it has put together anew, of which it knows nothing any more. It stumbles, and the
worker dies of it. What is held then comes back after the visibility timeout, as of a dead worker.

And Celery insists on its heartbeats: if one is due while Redis is away, the main process does
nothing but try it again until Redis is back, not even end when it is told to.
"""

from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher
from kombu.transport import TRANSPORT_ALIASES, redis
from redis.exceptions import ConnectionError as NotConnected


class Channel(redis.Channel):
    """Kombu's own, but for an error that nobody expects."""

    def _connparams(self, asynchronous: bool = False) -> Any:  # noqa: FBT002 -- kombu's
        if self.connection.client is None:
            # One that everybody does.
            raise NotConnected("the connection was closed")
        # The stubs know of nothing private.
        return super()._connparams(asynchronous)  # type: ignore[misc]


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


def use() -> None:
    """Have every connection to Redis of this process be made so."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
