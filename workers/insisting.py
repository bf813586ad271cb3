"""Writing what the end of a paid call means, which nobody else knows, though Postgres hiccups."""

import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from db.errors import DatabaseUnavailable
from db.meanwhile import Meanwhile

log = structlog.get_logger(__name__)

WRITE_PAUSES: Final = (0.5, 1.0, 2.0)
"""Seconds between tries; all well within a task's time."""

T = TypeVar("T")


class NotClaimed(DatabaseUnavailable):
    """Whether the request may be started could not be asked; nothing was done."""


class Unwritten(DatabaseUnavailable):
    """What the call's end means could not be written: `known` is all there is of it."""

    def __init__(self, reason: str, known: Meanwhile) -> None:
        super().__init__(reason)
        self.known = known


def insist(write: Callable[[], T], known: Meanwhile) -> T:
    """Write it, on a later try if need be. Raises Unwritten.

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
    try:
        return write()
    except DatabaseUnavailable as error:
        raise Unwritten(str(error), known) from error
