"""Everything that Vertex AI can answer in place of a video, and what it means: one table.

Google charges for nothing but the videos that it makes, so none of these is billed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What becomes of a request that meets a failure."""

    #: It fails, and would fail again.
    PERMANENT = "permanent"
    #: It fails, or waits; the same might go well another time.
    TRANSIENT = "transient"
    #: It may have been taken, so its video is looked for.
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Failure:
    """One row: the code in the row of the request, the user's words and the operator's."""

    code: str
    kind: Kind
    message: str
    advice: str


PROMPT_REFUSED: Final = Failure(
    "prompt_refused",
    Kind.PERMANENT,
    "The video service makes no video of this prompt.",
    "Google's usage policy",
)

NOT_ACCEPTED: Final = 401
"""The HTTP status by which Google tells that the token is not good, or not any more."""

REFUSALS: Final[Mapping[int, Failure]] = {
    400: Failure(
        "invalid_request",
        Kind.PERMANENT,
        "The video service did not accept these parameters.",
        "what the model takes has changed, or the table of models is wrong",
    ),
    NOT_ACCEPTED: Failure(
        "setup",
        Kind.PERMANENT,
        "The video service cannot be used at the moment. This is not your prompt's fault.",
        "look at GOOGLE_APPLICATION_CREDENTIALS, and whether the account's key is still good",
    ),
    403: Failure(
        "setup",
        Kind.PERMANENT,
        "The video service cannot be used at the moment. This is not your prompt's fault.",
        "the account needs roles/aiplatform.user, the project the API and an account for billing",
    ),
    404: Failure(
        "model_unavailable",
        Kind.PERMANENT,
        "The model that was to make the video is not available any more.",
        "Google has retired the model, or does not serve it in GOOGLE_CLOUD_LOCATION",
    ),
}
"""By HTTP status: refused when it was to be started, for good."""

BUSY: Final = 429
"""The one HTTP status by which a start was certainly not taken, and may be made again.

The quota is that of long_running_online_prediction_requests_per_base_model.
"""

_REFUSED: Final = Failure(
    "refused",
    Kind.PERMANENT,
    "The video service could not make a video of this request.",
    "the request was found wrong when it was worked on",
)
_SETUP: Final = Failure(
    "setup",
    Kind.PERMANENT,
    "The video service cannot be used at the moment. This is not your prompt's fault.",
    "may Vertex AI write to the bucket, and is it there?",
)
_AGAIN: Final = Failure(
    "provider_error",
    Kind.TRANSIENT,
    "The video service failed to make this video. Trying again may help.",
    "Google's side; many of them: see its status page",
)
_FULL: Final = Failure(
    "busy",
    Kind.TRANSIENT,
    "The video service was too busy to make this video. Please try again later.",
    "Google's capacity, or the project's quota",
)

OPERATIONS: Final[Mapping[int, tuple[str, Failure]]] = {
    1: ("CANCELLED", _AGAIN),
    2: ("UNKNOWN", _AGAIN),
    3: ("INVALID_ARGUMENT", _REFUSED),
    4: ("DEADLINE_EXCEEDED", _AGAIN),
    5: ("NOT_FOUND", _SETUP),
    7: ("PERMISSION_DENIED", _SETUP),
    8: ("RESOURCE_EXHAUSTED", _FULL),
    9: ("FAILED_PRECONDITION", _REFUSED),
    10: ("ABORTED", _AGAIN),
    11: ("OUT_OF_RANGE", _REFUSED),
    13: ("INTERNAL", _AGAIN),
    14: ("UNAVAILABLE", _AGAIN),
    16: ("UNAUTHENTICATED", _SETUP),
}
"""By code of google.rpc.Status: how an operation fails that had been started."""

FILTERED: Final = "filtered"
"""The code of a video that the safety filter held back."""

_OF_THE_PROMPT: Final = re.compile(r"(?i)prompt|responsible ai|safety|usage guidelines|sensitive")


def refusal(status: int, said: str) -> Failure | None:
    """What a start that was answered with this HTTP status has met; None if that is unclear."""
    if status == 400 and _OF_THE_PROMPT.search(said):
        return PROMPT_REFUSED
    return REFUSALS.get(status)


def remedy(status: int, said: str) -> str | None:
    """What an operator does where a question about an operation that never was is answered so.

    None: that it is not known, or that too many are asked, says that all is well besides.
    """
    if status >= 500:
        return "wait: it is on Google's side; its status page may tell"
    knows_the_model = "Publisher Model" not in said
    if status in (400, BUSY) or (status == 404 and knows_the_model):
        return None
    return REFUSALS.get(status, REFUSALS[403]).advice


def of_operation(code: int) -> tuple[str, Failure]:
    """The name of a code of google.rpc.Status, and what it means."""
    return OPERATIONS.get(code, ("?", _AGAIN))
