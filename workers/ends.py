"""How a request can end, each end once: its code, its sentence, and what it gives back.

Whoever sees one, with Postgres or without, makes of it the facts that are here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from db.records import Request
from db.states import Status
from workers.context import Context
from workers.providers import Failed, Refused
from workers.words import figure


@dataclass(frozen=True, slots=True)
class End:
    """`message` is for the user, `code` for programs.

    Not `is_billed` gives the money back, not `is_counted` the place in the limits.
    """

    status: Status
    code: str | None = None
    message: str | None = None
    video_urls: Sequence[str] | None = None
    is_billed: bool = True
    is_counted: bool = True


def completed(video_urls: Sequence[str]) -> End:
    """Its videos are there, at addresses that do not expire (RT4)."""
    return End(Status.COMPLETED, video_urls=video_urls)


def failed(context: Context, answer: Failed) -> End:
    """The provider says that it comes to nothing."""
    return End(
        Status.FAILED,
        answer.code,
        answer.message,
        is_billed=answer.is_billed,
        is_counted=answer.is_billed or context.settings.failed_requests_count,
    )


def refused(context: Context, error: Refused) -> End:
    """The provider will not make this video."""
    return _not_started(context, error.code, error.message)


def too_busy(context: Context) -> End:
    """The provider took no call in all that time."""
    return _not_started(
        context, "busy", "The video service was too busy for too long. Please try again later."
    )


def not_storable(context: Context) -> End:
    """The storage could not be marked in all that time, so no call was made."""
    return _not_started(
        context,
        "storage",
        "The video was not made: it could not have been stored. Please tell an operator.",
    )


def too_many() -> End:
    """Nobody could ask the limits, and the ceiling of an outage was reached (DG1)."""
    return End(
        Status.FAILED,
        "too_many",
        "Your limits could not be looked at, and as many of your videos as a day allows were made "
        "meanwhile, so this one was not. Please try again later.",
        is_billed=False,
        is_counted=False,
    )


def not_stored() -> End:
    """The storage could not be read in all that time."""
    return End(
        Status.FAILED,
        "storage",
        "The video was made but could not be stored. Please tell an operator.",
    )


def no_video() -> End:
    """The provider says that it is done, and nothing shows."""
    return End(
        Status.FAILED,
        "no_video",
        "The video service finished without a video. Trying again may help.",
    )


def timed_out(context: Context, request: Request) -> End:
    """Its time is up. What was perhaps never taken gives its money and its place back."""
    was_taken = request.status is not Status.PENDING
    return End(
        Status.TIMEOUT,
        "timeout",
        timeout_message(context.settings.generation_timeout),
        is_billed=was_taken,
        is_counted=was_taken,
    )


def timeout_message(timeout: timedelta) -> str:
    """RT4's sentence, with the configured figure."""
    return f"Generation timed out after {figure(timeout)}"


def _not_started(context: Context, code: str, message: str) -> End:
    counts = context.settings.failed_requests_count
    return End(Status.FAILED, code, message, is_billed=False, is_counted=counts)
