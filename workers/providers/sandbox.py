"""A provider for machines with nothing but Python: real videos, made here, for nothing.

It behaves as one far away would. What it has accepted it finishes, whoever dies meanwhile: the
video is made at once and dated to the moment at which it is to be there. Each accepted call
leaves one file in ``OUTPUT_DIR/.sandbox/``, so calls can be counted.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

from db.records import NewRequest, Request
from db.validation import InvalidRequest
from workers.providers import (
    Answer,
    Done,
    Failed,
    NotTaken,
    Offer,
    OutcomeUnknown,
    PollFailed,
    Refused,
    Running,
)
from workers.providers.render import render
from workers.settings import SandboxOutcome, WorkerSettings
from workers.storage.folder import path_of

OPERATIONS = "sandbox/operations/"

_MAKES_A_VIDEO = (SandboxOutcome.COMPLETED, SandboxOutcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class _Operation:
    """What one accepted call will come to. `ends_at` is in seconds since the epoch."""

    request_id: str
    outcome: SandboxOutcome
    ends_at: float


class SandboxProvider:
    """Accepts what it is told to accept, and takes the time it is told to take."""

    name = "sandbox"
    model = "sandbox"
    offers: Sequence[Offer] = (Offer("sandbox", "Sandbox"),)
    call_time = timedelta(seconds=10)
    poll_every = timedelta(seconds=1)

    def __init__(
        self,
        folder: Path,
        *,
        seconds: float,
        outcome: SandboxOutcome,
        price_per_second: Decimal = Decimal(0),
        starts_per_minute: int | None = None,
    ) -> None:
        self._ledger = folder.absolute() / ".sandbox"
        self._seconds = seconds
        self._outcome = outcome
        self._price_per_second = price_per_second
        self.first_poll_after = timedelta(seconds=seconds)
        self.starts_per_minute = starts_per_minute

    def check(self, request: NewRequest) -> None:
        """It draws whatever is asked for, and has one model."""
        if request.model not in (None, self.model):
            raise InvalidRequest(f"The model must be {self.model}.")

    def price(self, request: NewRequest) -> Decimal:
        """Dollars that nobody pays, so that budgets can be tried."""
        return self._price_per_second * request.duration_seconds

    def start(self, request: Request, prefix: str) -> str:
        """Accept the request, or do what the settings say instead."""
        if self._outcome is SandboxOutcome.REFUSED:
            raise Refused(
                "The sandbox was told to refuse",
                code="refused",
                message="The video service does not make this video.",
            )
        if self._outcome is SandboxOutcome.BUSY:
            raise NotTaken("The sandbox was told to be busy")
        if self._outcome in _MAKES_A_VIDEO:
            self._make_video(request, path_of(prefix) / "sample_0.mp4")
        operation = _Operation(str(request.id), self._outcome, time.time() + self._seconds)
        name = f"{uuid4()}"
        _write(self._ledger / f"{name}.json", operation)
        if self._outcome is SandboxOutcome.UNKNOWN:
            raise OutcomeUnknown("The sandbox was told not to answer")
        return f"{OPERATIONS}{name}"

    def poll(self, operation_name: str) -> Answer:
        """What the ledger says of the operation."""
        path = self._ledger / f"{operation_name.removeprefix(OPERATIONS)}.json"
        try:
            operation = _Operation(**json.loads(path.read_text()))
        except OSError as error:
            raise PollFailed(f"The sandbox knows no operation {operation_name}") from error
        if operation.outcome == SandboxOutcome.NEVER or time.time() < operation.ends_at:
            return Running()
        if operation.outcome == SandboxOutcome.FAILED:
            return Failed(
                code="provider_error",
                message="The video service could not make this video. Trying again may help.",
                reason="The sandbox was told to fail",
                is_billed=False,
            )
        if operation.outcome == SandboxOutcome.FILTERED:
            return Failed(
                code="filtered",
                message="The video was held back by the safety filter. "
                "Another wording of the prompt may help.",
                reason="The sandbox was told to filter",
                is_billed=False,
            )
        return Done()

    def probe(self) -> str:
        """Whoever has come this far has the libraries."""
        return "sandbox: it draws title cards, for nothing"

    def _make_video(self, request: Request, path: Path) -> None:
        draft = path.with_name(".draft.mp4")
        render(
            draft,
            prompt=request.prompt,
            duration_seconds=request.duration_seconds,
            aspect_ratio=request.aspect_ratio,
            resolution=request.resolution,
            audio=request.generate_audio,
        )
        there_at = time.time() + self._seconds
        os.utime(draft, (there_at, there_at))
        draft.replace(path)


def _write(path: Path, operation: _Operation) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(operation)))
    draft.replace(path)


def make(settings: WorkerSettings) -> SandboxProvider:
    """The sandbox as the variables ``SANDBOX_…`` describe it."""
    return SandboxProvider(
        settings.output_dir,
        seconds=settings.sandbox_seconds,
        outcome=settings.sandbox_outcome,
        price_per_second=settings.sandbox_price_per_second,
        starts_per_minute=settings.sandbox_starts_per_minute,
    )
