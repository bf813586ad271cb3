"""The life of a request (RT2): its states and every move between them."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Status(StrEnum):
    """Where a request stands, as the ``status`` column spells it."""

    PENDING = "pending"
    GENERATING = "generating"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMEOUT = "timeout"

    @property
    def has_ended(self) -> bool:
        """Whether no move leads out of this state."""
        return not TRANSITIONS[self]


TRANSITIONS: Final[Mapping[Status, frozenset[Status]]] = {
    Status.PENDING: frozenset({Status.GENERATING}),
    Status.GENERATING: frozenset({Status.COMPLETED, Status.FAILED, Status.TIMEOUT}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.TIMEOUT: frozenset(),
}

ENDED: Final = tuple(status for status in Status if status.has_ended)


def source_of(target: Status) -> Status | None:
    """The one state from which `target` is entered; None for the first state.

    Every state has at most one, which is what lets a guarded UPDATE name it.
    """
    sources = [status for status, targets in TRANSITIONS.items() if target in targets]
    return sources[0] if sources else None
