"""What a test arranges for the calls that bring a prompt: accidents on the way, and an end."""

import json
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class Manner(Enum):
    """How an accident shows."""

    ANSWER = auto()
    #: The connection is reset.
    CUT = auto()
    #: No answer comes until the test is over.
    HANG = auto()


@dataclass(frozen=True)
class Accident:
    """What one call meets in place of its answer."""

    manner: Manner
    status: int = 200
    text: str = ""
    content_type: str = "application/json"
    #: Whether the operation is begun all the same.
    is_taken: bool = False
    #: Where the answer leads.
    location: str | None = None


@dataclass(frozen=True)
class Ending:
    """What an operation comes to: what its answer holds beside its name, and its videos."""

    answer: dict[str, Any]
    videos: int = 0


@dataclass
class Script:
    """One prompt's. Accidents are met in order, each by one call; then all goes well."""

    starts: list[Accident] = field(default_factory=list)
    polls: list[Accident] = field(default_factory=list)
    ending: Ending = field(default_factory=lambda: made())
    #: From the start of the operation to its end; None: until the test says so.
    seconds: float | None = 0


def refuses(
    status: int, message: str = "arranged by a test", *, is_taken: bool = False
) -> Accident:
    """An error as Google's gRPC services word it over HTTP."""
    told = {"error": {"code": status, "message": message, "status": STATUSES[status]}}
    return says(told, status=status, is_taken=is_taken)


def says(
    told: Any, *, status: int = 200, content_type: str = "application/json", is_taken: bool = False
) -> Accident:
    """An answer of whatever shape; text as it is, everything else as JSON."""
    text = told if isinstance(told, str) else json.dumps(told)
    return Accident(Manner.ANSWER, status, text, content_type, is_taken)


def leads(location: str, *, status: int = 307) -> Accident:
    """It is to be asked again at another address."""
    return Accident(Manner.ANSWER, status, location=location)


def cuts(*, is_taken: bool) -> Accident:
    """The connection ends, before anything was done or after."""
    return Accident(Manner.CUT, is_taken=is_taken)


def hangs(*, is_taken: bool) -> Accident:
    """Nobody answers."""
    return Accident(Manner.HANG, is_taken=is_taken)


def made(videos: int = 1) -> Ending:
    """It ends well, with so many videos; none is what Google does not document."""
    return Ending({"response": {"raiMediaFilteredCount": 0}}, videos)


def fails(code: int, message: str) -> Ending:
    """It ends with a google.rpc.Status."""
    return Ending({"error": {"code": code, "message": message}})


def filters(*reasons: str, videos: int = 0) -> Ending:
    """The safety filter holds back a video for each reason, and lets so many pass."""
    response = {"raiMediaFilteredCount": len(reasons), "raiMediaFilteredReasons": [*reasons]}
    return Ending({"response": response}, videos)
