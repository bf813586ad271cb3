"""How the broker stands, for those who must have an answer soon: nothing here waits or tries again.

What is asked is asked on a connection of its own, made as the Celery application makes its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kombu import Connection

from workers.app import app
from workers.errors import BrokerUnavailable


@dataclass(frozen=True, slots=True)
class Depth:
    """Messages on the broker, sweeps included."""

    #: Those that no worker has taken, by queue.
    waiting: dict[str, int]
    #: Those that a worker has taken and not acknowledged.
    held: int


@dataclass(frozen=True, slots=True)
class Server:
    """What Redis tells of itself."""

    version: str
    #: What it does when its memory is full; only ``noeviction`` loses no message.
    eviction: str


def ping(*, patience: float) -> None:
    """Have Redis answer.

    Connecting and every answer may take `patience` seconds each. Raises BrokerUnavailable.
    """
    with channel(patience) as found:
        found.client.ping()


def depth(*, patience: float) -> Depth:
    """Count the messages; otherwise as :func:`ping`."""
    names = [queue.name for queue in app.conf.task_queues]
    with channel(patience) as found, found.client.pipeline(transaction=True) as pipe:
        for name in names:
            pipe.llen(name)
        pipe.hlen(found.unacked_key)
        *waiting, held = pipe.execute()
    return Depth(dict(zip(names, waiting, strict=True)), held)


def server(address: str, *, patience: float) -> Server:
    """What it is that answers at `address`; otherwise as :func:`ping`."""
    with channel(patience, address) as found:
        told = found.client.info()
    return Server(str(told["redis_version"]), str(told["maxmemory_policy"]))


@contextmanager
def channel(patience: float, address: str | None = None) -> Iterator[Any]:
    """A channel of a connection of its own, for the block; otherwise as :func:`ping`."""
    timeouts = {"socket_connect_timeout": patience, "socket_timeout": patience}
    connection: Any
    if address is None:
        connection = app.connection_for_read(transport_options=timeouts)
    else:
        # The application wants all settings to be right, those that are nothing to Redis too.
        connection = Connection(address, transport_options=timeouts)
    with connection:
        try:
            # By way of the connection itself, kombu would try again and again.
            transport = connection.transport
            yield transport.create_channel(transport)
        except (*connection.connection_errors, *connection.channel_errors) as error:
            raise BrokerUnavailable(f"Redis did not answer: {error}") from error
