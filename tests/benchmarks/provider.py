"""A provider that costs next to nothing: what is measured is ours, and not the making of videos.

An operation's name tells when its result is there, so that nothing has to be kept of it.
"""

import math
import random
import time
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final

from db.records import NewRequest, Request
from workers.providers import Answer, Done, Offer, Running
from workers.settings import WorkerSettings
from workers.storage.folder import path_of

SIGMA: Final = 0.35
POLL_COSTS: Final = 0.001
"""Seconds of a processor, where operations take any time: what a real client takes for a question
over HTTPS and for the JSON of its answer."""

_lot = random.Random()  # noqa: S311


class BenchmarkProvider:
    """Its operations take no time at all, or lognormal times around a median, in seconds."""

    name = "benchmark"
    model = "benchmark"
    offers: Sequence[Offer] = (Offer("benchmark", "Benchmark"),)
    call_time = timedelta(seconds=10)
    starts_per_minute = None

    def __init__(self, median: float) -> None:
        self._median = median
        self.poll_every = timedelta(seconds=5 if median else 1)
        self.first_poll_after = self.poll_every if median else timedelta(0)

    def check(self, request: NewRequest) -> None:
        """It makes everything."""

    def price(self, request: NewRequest) -> Decimal:
        """Nothing, as everything here."""
        del request
        return Decimal(0)

    def start(self, request: Request, prefix: str) -> str:
        """An empty file is the video; who asks hears later of it."""
        del request
        (path_of(prefix) / "sample_0.mp4").touch()
        return operation_name(time.time() + draw(self._median, _lot))

    def poll(self, operation_name: str) -> Answer:
        """As its name tells."""
        if self._median:
            burn(POLL_COSTS)
        is_done = time.time() >= float(operation_name.rpartition("/")[2])
        return Done() if is_done else Running()

    def probe(self) -> str:
        """It is always there."""
        return "benchmark"


def operation_name(ready_at: float) -> str:
    """The name of an operation whose result is there at that time, in seconds since the epoch."""
    return f"benchmark/{ready_at:.6f}"


def draw(median: float, lot: random.Random) -> float:
    """Seconds that an operation takes."""
    return lot.lognormvariate(math.log(median), SIGMA) if median else 0.0


def burn(seconds: float) -> None:
    """Have this thread take so much of a processor."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def make(settings: WorkerSettings) -> BenchmarkProvider:
    """Around ``SANDBOX_SECONDS``."""
    return BenchmarkProvider(settings.sandbox_seconds)
