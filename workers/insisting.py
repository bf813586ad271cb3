"""Writing what nobody else knows, though Postgres hiccups; and letting it go on if it is away."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar
from uuid import UUID

import structlog

from db.errors import DatabaseUnavailable
from db.meanwhile import Meanwhile

log = structlog.get_logger(__name__)

WRITE_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds between tries; all well within a task's time."""

T = TypeVar("T")


class NotClaimed(DatabaseUnavailable):
    """Whether the request may be started could not be asked; nothing was done.

    It may have been answered all the same, and nobody heard it: then the row has a claim that no
    call was made with, `unused`.
    """

    def __init__(self, reason: str, unused: UUID | None = None) -> None:
        super().__init__(reason)
        self.unused = unused


class Unwritten(DatabaseUnavailable):
    """What was done could not be written: `known` is all there is of it."""

    def __init__(self, reason: str, known: Meanwhile) -> None:
        super().__init__(reason)
        self.known = known


def insist(write: Callable[[], T], known: Meanwhile) -> T:
    """Write what the end of a paid call means, on a later try if need be. Raises Unwritten.

    A task that began anew would find its own claim and could tell nothing of the call.
    """
    for pause in WRITE_PAUSES:
        try:
            return write()
        except DatabaseUnavailable as error:
            log.warning(
                "start_not_written",
                operation_name=known.operation_name,
                reason=str(error),
                next_try_seconds=pause,
            )
            time.sleep(pause)
    with or_unwritten(known):
        return write()


@contextmanager
def or_unwritten(known: Meanwhile) -> Iterator[None]:
    """Raise Unwritten where Postgres is away for what is written in the block."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise Unwritten(str(error), known) from error
