"""What became of a request while it could not be written down (DG2)."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from db.records import NewRequest, Request
from db.states import Status
from db.tables import video_requests

c = video_requests.c


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What is known of a request that goes on without Postgres. Times are in UTC."""

    new: NewRequest
    asked_at: datetime
    #: It was a row before; one that is not there any more was forgotten, or is too old.
    has_row: bool = False
    status: Status = Status.PENDING
    #: Attempts in a row that came to nothing.
    attempts: int = 0
    #: A claim in the row that no call was made with.
    unused_claim: UUID | None = None
    #: Who made the paid call, or found that another may have made it, and when.
    claim: UUID | None = None
    claimed_at: datetime | None = None
    started_at: datetime | None = None
    operation_name: str | None = None
    gcs_prefix: str | None = None
    completed_at: datetime | None = None
    video_urls: Sequence[str] | None = None
    error_code: str | None = None
    error_message: str | None = None
    billed: bool = True
    counted: bool = True
    #: It has timed out, and is about a video that came after that.
    is_late: bool = False
    #: Who delivers the answer.
    answer_claim: UUID | None = None
    delivered_at: datetime | None = None
    #: How that went, as the event tells it.
    delivery: dict[str, Any] | None = None

    @classmethod
    def of(cls, request: Request, **known: Any) -> "Meanwhile":
        """What goes on of a request that has a row, and is `known` besides."""
        new = NewRequest(**{each.name: getattr(request, each.name) for each in fields(NewRequest)})
        written = {each.name: getattr(request, each.name) for each in fields(cls) if each.name in c}
        return cls(new, request.created_at, **{"has_row": True, **written, **known})

    def as_request(self) -> Request:
        """The row that this is going to be."""
        known = {name: getattr(self, name) for name in self.__slots__ if name in c}
        columns = {**dict.fromkeys(c.keys()), **self.new.as_row(), **known}
        return Request(
            **columns
            | {
                "id": self.new.id,
                "source_id": self.new.source_id,
                "cost_usd": self.new.cost_usd,
                "created_at": self.asked_at,
                "fair_at": self.asked_at,
                "duration_ms": self._duration_ms,
                "delivery_attempts": 0,
                "rescues": 0,
            }
        )

    @property
    def _duration_ms(self) -> int | None:
        if self.started_at is None or self.completed_at is None:
            return None
        return round((self.completed_at - self.started_at) / timedelta(milliseconds=1))
