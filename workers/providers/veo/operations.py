"""How an operation of Vertex AI stands, read from what it answers."""

import re
from typing import TYPE_CHECKING, Any, Final

from workers.providers import Answer, Done, Failed, PollFailed, Running
from workers.providers.veo import failures, filters
from workers.quoting import quoted

if TYPE_CHECKING:
    from google.genai.types import GenerateVideosOperation

_NAME: Final = re.compile(r"projects/[^/\s]+/locations/[^/\s]+/(?:\S+/)?operations/[^/\s]+")
"""That of the model stands in between, as Google documents it, or not, as of other operations."""


def is_name(name: object) -> bool:
    """Whether an operation can be asked about by this name."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def answer(operation: "GenerateVideosOperation") -> Answer:
    """What an answer says. Raises PollFailed if it says nothing.

    Done without a video and without a reason is left to the storage: what lies there counts.
    """
    response = operation.response
    # Who tells how it ended need not say whose end that is.
    has_ended = operation.done and (operation.error or response)
    if not has_ended and not is_name(operation.name):
        raise PollFailed("Vertex AI answered without the name of the operation")
    if not operation.done:
        return Running()
    if operation.error:
        return _failed(operation.error)
    if response is None or response.generated_videos:
        return Done()
    reasons = response.rai_media_filtered_reasons or []
    if reasons or response.rai_media_filtered_count:
        return _filtered(" ".join(reasons))
    return Done()


def _failed(error: dict[str, Any]) -> Failed:
    """What a google.rpc.Status means."""
    code, said = error.get("code"), str(error.get("message", ""))
    if filters.codes(said):
        return _filtered(said)
    name, failure = failures.of_operation(code if isinstance(code, int) else 2)
    return Failed(
        failure.code,
        failure.message,
        f"the operation failed with {code} {name}: {quoted(said)}; {failure.advice}",
        is_billed=False,
    )


def _filtered(said: str) -> Failed:
    """What the filter says. Only its codes are passed on: its words may quote the prompt."""
    found = filters.codes(said)
    return Failed(
        failures.FILTERED,
        filters.sentence(found),
        f"the safety filter held it back, support codes {filters.names(found)}",
        is_billed=False,
    )
