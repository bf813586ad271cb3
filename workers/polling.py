"""When an operation is asked about, learned from how long such operations took.

Whoever asks every `g` seconds hears of a result `g / 2` late on average, and puts `1 / g` questions
a second for as long as it runs. With a result in the next second as likely as `h`, given that there
is none yet, lateness and questions together cost least where `g` is as `1 / sqrt(h)`: nothing is
asked before a result is likely, much where most come, little in the tail. The one free factor is
taken so that it comes to fewer questions than the provider's fixed schedule would put.

What is learned from is the time of a notice: the true time and one lateness, a pause at most. Every
true time is a new one that no schedule has touched, so that lateness does not add up however often
it is learned from. Only of what ends before the first question nobody knows how early it was: so
that is put some time before the fastest known.
"""

from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from math import sqrt
from typing import Final

from db.records import Experience

FLOOR: Final = 1.0
"""Seconds between two questions, at least; less only where the provider's own schedule has less."""
SPENT: Final = 0.85
"""Questions put, of those that the fixed schedule would put."""
EARLY: Final = 0.9
"""The first question, by the time that was enough for the fastest: how a provider that has become
faster is found out, a tenth with each look at what is known."""
LATE: Final = 0.1
"""How far the slowest are expected to go beyond what is known, as a part of it, at least."""
SPARSEST: Final = 1.5
"""The longest pause, by the fixed schedule's: what a provider that has become slower costs."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to ask about an operation, in seconds since its start."""

    first: float
    #: Stretches of time after that, one after another: where each ends, and the pause in it.
    stretches: tuple[tuple[float, float], ...]
    #: The pauses after the last stretch, and those that no other exceeds or falls below.
    longest: float
    shortest: float

    def is_too_early(self, age: timedelta) -> bool:
        """Whether asking is not worth it yet."""
        return age.total_seconds() < self.first

    def next_after(self, age: timedelta) -> timedelta:
        """From this age on, the time to the next question."""
        now = age.total_seconds()
        if now < self.first:
            return timedelta(seconds=self.first - now)
        return timedelta(seconds=min(max(self._pause(now), self.shortest), self.longest))

    def _pause(self, now: float) -> float:
        """A pause is spent in each stretch at that stretch's pace."""
        left, at = 1.0, now
        for end, pause in self.stretches:
            if end <= at:
                continue
            if left * pause <= end - at:
                return at + left * pause - now
            left -= (end - at) / pause
            at = end
        return at + left * self.longest - now


def schedule(experience: Experience | None, *, first: timedelta, every: timedelta) -> Schedule:
    """The schedule by what is known; as long as nothing is, the fixed one: `first`, then `every`.

    Nothing is asked before `first`, whatever was learned.
    """
    start, step = first.total_seconds(), every.total_seconds()
    if experience is None:
        return Schedule(start, (), step, step)
    shortest, longest = min(FLOOR, step), SPARSEST * step
    fastest, slowest = experience.quantiles[0][1], experience.quantiles[-1][1]
    # To the millisecond: an age has no more than microseconds, and would fall short of it for ever.
    begin = round(max(start, EARLY * fastest), 3)
    tail = slowest + max(slowest - experience.half, LATE * slowest)
    parts = _parts(experience, begin, tail)
    budget = SPENT * _asked_by(experience, tail, start, step)
    # One is the first, and half of one goes by between the result and the last.
    spent = sum(sqrt(mass * width * running) for _, mass, width, running in parts)
    pace = max(budget - 1.5, 0.25) / spent if spent else 0.0
    stretches = tuple(
        (end, min(max(sqrt(width * running / mass) / pace, shortest), longest))
        for end, mass, width, running in parts
    )
    return Schedule(begin, stretches, longest, shortest)


def _parts(
    experience: Experience, begin: float, tail: float
) -> list[tuple[float, float, float, float]]:
    """The stretches from the first question on: end, share of results, length, share not ended."""
    before = max((share for share, at in experience.quantiles if at <= begin), default=0.0)
    known = [(share, at) for share, at in experience.quantiles if at > begin]
    knots = [(before, begin), *known]
    parts = [
        (to, later - earlier, to - at, 1 - (earlier + later) / 2)
        for (earlier, at), (later, to) in pairwise(knots)
        if to > at
    ]
    share, at = knots[-1]
    if tail > at and share < 1:
        # Few are left to learn from: taken as if none of them had ended before the last.
        parts.append((tail, 1 - share, tail - at, 1 - share))
    return parts


def _asked_by(experience: Experience, tail: float, first: float, every: float) -> float:
    """Questions that the fixed schedule would put on average."""
    fastest = experience.quantiles[0][1]
    knots = [(0.0, fastest), *experience.quantiles, (1.0, tail)]
    mean = sum((later - earlier) * (at + to) / 2 for (earlier, at), (later, to) in pairwise(knots))
    return max(mean - first, 0.0) / every + 1.5
