"""Timing several ways of doing something, turn by turn, so that the machine's moods hit all."""

import logging
import random
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from workers.logs import configure
from workers.settings import LogSettings

Side = Callable[[], Callable[[], object]]
"""Prepares one sample; what it returns is timed."""

WARM_UP = 0.1
"""The part of the samples that is taken before, and thrown away: plans, caches, statements."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one side took, in microseconds unless the comparison says otherwise."""

    name: str
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One side against another. `bound` is how many times as long it may take, if it matters."""

    name: str
    subject: Timing
    base: Timing
    bound: float | None = None
    unit: str = "microseconds"

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return self.subject.median / self.base.median

    @property
    def holds(self) -> bool | None:
        """Whether the bound does; None where there is none."""
        return None if self.bound is None else self.ratio <= self.bound


def measure(sides: Mapping[str, Side], samples: int) -> dict[str, Timing]:
    """`samples` of every side, by its name. Each round takes one of each, in an order by lot."""
    turns = list(sides)
    order = random.Random(0)  # noqa: S311
    taken: dict[str, list[int]] = {name: [] for name in sides}
    warm_up = round(samples * WARM_UP)
    for number in range(warm_up + samples):
        order.shuffle(turns)
        for name in turns:
            act = sides[name]()
            start = time.perf_counter_ns()
            act()
            end = time.perf_counter_ns()
            if number >= warm_up:
                taken[name].append(end - start)
    return {name: _timing(name, nanoseconds) for name, nanoseconds in taken.items()}


def log_to_nowhere() -> None:
    """A worker's lines are made, up to where they would be rendered and written."""
    configure(LogSettings(), level="info")
    logging.getLogger().handlers[:] = [logging.NullHandler()]


def _timing(name: str, nanoseconds: list[int]) -> Timing:
    p95 = statistics.quantiles(nanoseconds, n=20)[-1]
    return Timing(name, statistics.median(nanoseconds) / 1000, p95 / 1000)
