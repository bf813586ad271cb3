"""Operations that take simulated times, and what asking about them by a schedule comes to."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from statistics import fmean, median, quantiles

from db.progress import SHARES
from db.records import Experience
from workers.polling import Schedule, schedule

MEDIAN = 70.0
"""Seconds that half of the operations take."""
TIMEOUT = 300.0
EVERY = timedelta(seconds=10)
LATELY = 200
"""Requests that is learned from."""

Draw = Callable[[], float]


@dataclass(frozen=True)
class Outcome:
    """Of many operations: questions put about each, and seconds from each result to its notice."""

    asked: Sequence[int]
    lags: Sequence[float]
    notices: Sequence[float]

    @property
    def polls(self) -> float:
        return fmean(self.asked)

    @property
    def p95_polls(self) -> float:
        return quantiles(self.asked, n=20)[-1]

    @property
    def lag(self) -> float:
        return fmean(self.lags)

    @property
    def median_lag(self) -> float:
        return median(self.lags)

    @property
    def p95_lag(self) -> float:
        return quantiles(self.lags, n=20)[-1]


def lognormal(sigma: float, seed: int, *, middle: float = MEDIAN) -> Draw:
    """Times as those of a provider, none beyond the timeout."""
    lot = Random(seed)  # noqa: S311
    return lambda: min(lot.lognormvariate(math.log(middle), sigma), TIMEOUT)


def fixed(every: timedelta = EVERY) -> Schedule:
    return schedule(None, first=every, every=every)


def learned(times: Sequence[float], every: timedelta = EVERY) -> Schedule:
    """The schedule by the latest of these times."""
    return schedule(experience(times[-LATELY:]), first=every, every=every)


def experience(times: Sequence[float]) -> Experience:
    """As ``percentile_cont`` has it."""
    ordered = sorted(times)

    def within(share: float) -> float:
        below, part = divmod(share * (len(ordered) - 1), 1)
        pair = ordered[int(below) : int(below) + 2]
        return pair[0] + (pair[-1] - pair[0]) * part

    found = {share: within(share) for share in SHARES}
    return Experience(found[0.5], found[0.95], tuple(found.items()))


def ages(by: Schedule, until: float) -> Iterator[float]:
    """When is asked about an operation that runs on and on."""
    at = by.first
    while at < until:
        yield at
        at += by.next_after(timedelta(seconds=at)).total_seconds()
    yield at


def follow(by: Schedule, times: Sequence[float]) -> Outcome:
    """Ask about an operation of each of these times until it has ended."""
    asked = [[*ages(by, time)] for time in times]
    return Outcome(
        [len(each) for each in asked],
        [each[-1] - time for each, time in zip(asked, times, strict=True)],
        [each[-1] for each in asked],
    )


def generations(draw: Draw, number: int, *, lately: int = LATELY) -> Outcome:
    """What comes of learning from one's own notices so many times; first from the fixed one's."""
    by = fixed()
    for _ in range(number):
        by = learned(follow(by, [draw() for _ in range(lately)]).notices)
    return follow(by, [draw() for _ in range(2000)])
