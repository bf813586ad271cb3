"""What the statements of this package take and return: frozen records, no behaviour to speak of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from db.errors import LaterRelease
from db.states import Status

Span = tuple[datetime, datetime]
"""From one moment on, and until another."""

_AS_TEXT: Final = ("id", "cost_usd", "source_id")
"""Columns whose types JSON has no form for."""


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A request before there is a row of it: who asks, where, and for what (RT1)."""

    id: UUID
    user_id: str
    guild_id: str
    channel_id: str
    prompt: str
    duration_seconds: int = 4
    aspect_ratio: str = "16:9"
    resolution: str = "720p"
    generate_audio: bool = True
    provider: str | None = None
    model: str | None = None
    #: Dollars.
    cost_usd: Decimal | None = None
    #: The request that this one is a remix of.
    source_id: UUID | None = None
    #: What is not to be seen or heard.
    negative_prompt: str | None = None
    #: The same seed and parameters give nearly the same video; 0 to 4294967295.
    seed: int | None = None

    def parameters(self) -> dict[str, Any]:
        """What was asked for beside the prompt, as the log tells it (LG1)."""
        return {
            "duration_seconds": self.duration_seconds,
            "aspect_ratio": self.aspect_ratio,
            "resolution": self.resolution,
            "generate_audio": self.generate_audio,
            "model": self.model,
            "negative_prompt_length": len(self.negative_prompt or ""),
            "seed": self.seed,
        }

    def as_row(self) -> dict[str, Any]:
        """The columns of ``video_requests`` that it fills, ready for JSON."""
        row = {column: getattr(self, column) for column in self.__slots__}
        for column in _AS_TEXT:
            if row[column] is not None:
                row[column] = str(row[column])
        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "NewRequest":
        """The reverse of :meth:`as_row`; what a row of an earlier release lacks has its default.

        Raises LaterRelease where it says something that this one does not know.
        """
        values = {name: row[name] for name in row if name in cls.__slots__}
        said = [name for name in row if name not in values and row[name] is not None]
        if said:
            raise LaterRelease(
                f"A later release has made this request, with {', '.join(sorted(said))}: "
                "a process of that release has to take it"
            )
        for column, of_type in (("id", UUID), ("cost_usd", Decimal), ("source_id", UUID)):
            if values.get(column) is not None:
                values[column] = of_type(values[column])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Request:
    """One row of ``video_requests``, column by column."""

    id: UUID
    user_id: str
    guild_id: str
    channel_id: str
    prompt: str
    duration_seconds: int
    aspect_ratio: str
    resolution: str
    generate_audio: bool
    status: Status
    operation_name: str | None
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    duration_ms: int | None
    gcs_prefix: str | None
    video_urls: Sequence[str] | None
    error_message: str | None
    provider: str | None
    model: str | None
    cost_usd: Decimal | None
    counted: bool
    error_code: str | None
    claim: UUID | None
    claimed_at: datetime | None
    due_at: datetime | None
    attempts: int
    delivery_due_at: datetime | None
    delivery_attempts: int
    delivered_at: datetime | None
    source_id: UUID | None
    billed: bool
    archived_at: datetime | None
    deleted_at: datetime | None
    forgotten_at: datetime | None
    rescues: int
    delivery_claim: UUID | None
    negative_prompt: str | None
    seed: int | None
    fair_at: datetime

    def remixed(
        self,
        new_id: UUID,
        prompt: str,
        *,
        user_id: str,
        guild_id: str,
        channel_id: str,
        model: str | None = None,
        seed: int | None = None,
    ) -> NewRequest:
        """A new request with the parameters of this one, which it names as its source (VD1).

        `model` and `seed` are the caller's: a model may go, and a seed makes the same video.
        """
        return NewRequest(
            id=new_id,
            user_id=user_id,
            guild_id=guild_id,
            channel_id=channel_id,
            prompt=prompt,
            duration_seconds=self.duration_seconds,
            aspect_ratio=self.aspect_ratio,
            resolution=self.resolution,
            generate_audio=self.generate_audio,
            model=model,
            negative_prompt=self.negative_prompt,
            seed=seed,
            source_id=self.id,
        )

    @property
    def is_late(self) -> bool:
        """Whether its video appeared after the timeout; the status says only that it timed out."""
        return self.status is Status.TIMEOUT and bool(self.video_urls)

    @property
    def queueing_ms(self) -> int | None:
        """Milliseconds from creation to start (RT5); None before the start."""
        if self.started_at is None:
            return None
        return round((self.started_at - self.created_at) / timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class Event:
    """One row of ``video_events``."""

    id: int
    request_id: UUID
    event_type: str
    event_data: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """A request whose time has come, as far as it takes to send it on its way."""

    id: UUID
    status: Status
    is_claimed: bool
    attempts: int
    #: It waits for its turn, and is not due by time any more.
    is_in_line: bool = False


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """A deferred answer of Discord's, to be filled within 15 minutes by whoever has its token."""

    application_id: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that was handed to the queue, and what the one who asked was told then."""

    new: NewRequest
    reply_to: ReplyTo
    told: str
    #: The last time.
    sent_at: datetime
    #: Since the first time.
    age: timedelta
    #: That it still waits was told, too.
    is_told_of: bool


@dataclass(frozen=True, slots=True)
class Delivery:
    """The right to deliver the answer to a request, which has ended."""

    request: Request
    #: This one included.
    attempts: int
    #: None where there is no token (any more): the channel is left to write to.
    reply_to: ReplyTo | None
    #: Until then an edit that tells of progress may be under way.
    not_before: timedelta


@dataclass(frozen=True, slots=True)
class Missing:
    """A request that has timed out, as far as it takes to look for its video."""

    id: UUID
    gcs_prefix: str | None
    #: Looks, this one included.
    attempts: int


@dataclass(frozen=True, slots=True)
class LateResult:
    """A video that missed its time: looked for, or found, and then delivered by itself."""

    request_id: UUID
    look_until: datetime
    found_at: datetime | None
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Experience:
    """What requests of one kind have taken of late, in seconds."""

    half: float
    #: Nineteen of twenty took no longer.
    most: float
    #: Shares of them, and the seconds within which each had ended, both rising.
    quantiles: Sequence[tuple[float, float]]
