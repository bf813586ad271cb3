"""The writes at which a process is stopped, and told apart by what they do to a row."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Point(StrEnum):
    """A write, and so a step of a request's way, or of the work beside it."""

    ADMISSION = "admission"
    CLAIM = "claim"
    #: The paid call has been made.
    START = "start"
    TAKE_UP = "take_up"
    PARK = "park"
    COMPLETION = "completion"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    #: The provider was busy; the claim is given back.
    RELEASE = "release"
    #: The answer is there.
    DELIVERY = "delivery"
    #: The sweeper moves a request on by a lease, and then sends the rest of its chain.
    SWEEP = "sweep"
    #: The same of an answer that nobody has delivered.
    SWEEP_DELIVERY = "sweep_delivery"
    #: The sweeper has sent everything.
    SWEPT = "swept"
    #: The lock is held under which turns are given.
    PACING = "pacing"
    TURN = "turn"
    #: A video that is late is about to be looked for.
    LOOK = "look"
    LATE_RESULT = "late_result"
    LATE_DELIVERY = "late_delivery"
    #: Rows go; their outputs have gone.
    REMOVAL = "removal"


CHAIN: Final = (
    Point.ADMISSION,
    Point.CLAIM,
    Point.START,
    Point.TAKE_UP,
    Point.PARK,
    Point.COMPLETION,
    Point.FAILURE,
    Point.TIMEOUT,
    Point.RELEASE,
)
"""The transitions of a request."""


class Death(StrEnum):
    """When death comes."""

    #: The write is not made.
    BEFORE = "before"
    #: The write is made, and the writer never hears of it.
    AFTER = "after"


@dataclass(frozen=True)
class Write:
    """A kind of write. Without `of`, any statement of its kind, whether it finds a row or not."""

    of: str | None
    verb: str = "UPDATE"
    table: str = "video_requests"

    @property
    def is_marked(self) -> bool:
        """Whether it is about a request, so that only those of marked users are stopped."""
        return self.table == "video_requests"


WRITES: Final = {
    Point.ADMISSION: Write("NEW.status = 'pending'", "INSERT"),
    Point.CLAIM: Write("OLD.claim IS NULL AND NEW.claim IS NOT NULL"),
    Point.START: Write("OLD.status = 'pending' AND NEW.operation_name IS NOT NULL"),
    Point.TAKE_UP: Write("OLD.status = 'generating' AND NEW.attempts > OLD.attempts"),
    Point.PARK: Write(
        "OLD.status = 'generating' AND NEW.status = 'generating' AND NEW.attempts < OLD.attempts"
    ),
    Point.COMPLETION: Write("NEW.status = 'completed'"),
    Point.FAILURE: Write("NEW.status = 'failed'"),
    Point.TIMEOUT: Write("NEW.status = 'timeout'"),
    Point.RELEASE: Write("OLD.claim IS NOT NULL AND NEW.claim IS NULL"),
    Point.DELIVERY: Write("OLD.delivered_at IS NULL AND NEW.delivered_at IS NOT NULL"),
    Point.SWEEP: Write(
        "OLD.due_at < NEW.due_at AND NEW.status = OLD.status AND NEW.attempts = OLD.attempts"
        " AND NEW.claim IS NOT DISTINCT FROM OLD.claim"
    ),
    Point.SWEEP_DELIVERY: Write(
        "OLD.delivery_due_at < NEW.delivery_due_at AND NEW.delivery_claim IS NULL"
        " AND OLD.delivery_claim IS NULL"
    ),
    # What the sweeper does last, and before anything is sent in one transaction with turns.
    Point.SWEPT: Write(None, "DELETE", "request_remnants"),
    Point.PACING: Write(None, "DELETE", "start_turns"),
    Point.TURN: Write("NEW.valid_until IS NOT NULL", "INSERT", "start_turns"),
    Point.LOOK: Write("NEW.attempts > OLD.attempts", table="late_results"),
    Point.LATE_RESULT: Write(
        "NEW.found_at IS NOT NULL AND OLD.found_at IS NULL", table="late_results"
    ),
    Point.LATE_DELIVERY: Write("NEW.delivered_at IS NOT NULL", table="late_results"),
    Point.REMOVAL: Write("true", "DELETE"),
}
