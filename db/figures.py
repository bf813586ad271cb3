"""What is said of many requests at once: frozen records, made by :mod:`db.statistics`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from db.states import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What can be said of any set of requests. A state that none is in counts 0."""

    by_status: Mapping[Status, int]
    #: Of the completed; None where there is none.
    average_duration_ms: float | None
    cost_usd: Decimal

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_status.values())

    @property
    def in_progress(self) -> int:
        """Those that have not ended."""
        return sum(count for status, count in self.by_status.items() if not status.has_ended)

    @property
    def failures(self) -> int:
        """Those that failed or timed out."""
        return self.by_status[Status.FAILED] + self.by_status[Status.TIMEOUT]

    @property
    def failure_rate(self) -> float | None:
        """Percent of all that ended which failed or timed out; None if none has ended."""
        ended = self.total - self.in_progress
        return 100 * self.failures / ended if ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodFigures(Figures):
    """Those of one day, week or month, which begins at `start`."""

    start: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GuildFigures(Figures):
    """A guild's, in all and by period, the newest first; periods without a request are left out."""

    periods: Sequence[PeriodFigures]
    #: With their counts, the most common first.
    top_prompts: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalFigures(Figures):
    """Everybody's, with percentiles of the duration of what was completed."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class LimitReached:
    """A user who reached the limit in a range, and first did so with the request of that moment."""

    user_id: str
    #: All requests of the range.
    total: int
    first_reached_at: datetime
