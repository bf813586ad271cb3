"""What a child says reaches its worker whole, though Redis is lost in the middle of it.

A long one, such as an error with its trace back, comes in pieces. When the connection is lost,
Celery forgets of which it has read the first, takes the next for the begin of another one, and ends
with "Unrecoverable error".
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from celery.concurrency import asynpool

if TYPE_CHECKING:
    from types import GeneratorType


class ResultHandler(asynpool.ResultHandler):
    """Celery's own, but for what it has begun to read."""

    # The stubs know of nothing private.
    fileno_to_outq: Mapping[int, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._begun: dict[int, tuple[Any, GeneratorType[None, None, None]]] = {}

    def _recv_message(
        self, add_reader: Callable[..., Any], fd: int, callback: Callable[..., Any]
    ) -> "GeneratorType[None, None, None]":
        child = self.fileno_to_outq[fd]
        whose, begun = self._begun.get(fd, (None, None))
        # The number may be another child's by now.
        if begun is None or whose is not child or begun.gi_frame is None:
            begun = super()._recv_message(add_reader, fd, callback)  # type: ignore[misc]
            self._begun[fd] = child, begun
        return begun


def use() -> None:
    """Have the pool of this process read so."""
    asynpool.AsynPool.ResultHandler = ResultHandler
