"""Polls by what was learned against a fixed 10 s, over simulated times of operations.

No machine is measured here: it is the same on every one.
"""

from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Timing
from tests.workers.simulation import LATELY, Outcome, fixed, follow, learned, lognormal

SIGMAS = (0.15, 0.35, 0.45)
POLLS, LAG = 1.0, 1.0
OPERATIONS = 4000


def run(ground: Ground) -> list[Comparison]:
    """Learned from the notices of 200 that the fixed schedule had."""
    found = []
    for sigma in SIGMAS:
        draw = lognormal(sigma, 1)
        by = learned(follow(fixed(), [draw() for _ in range(LATELY)]).notices)
        times = [draw() for _ in range(OPERATIONS)]
        base, subject = follow(fixed(), times), follow(by, times)
        for name, each in (("fixed", base), ("learned", subject)):
            ground.say(
                f"sigma {sigma}, {name}: {each.polls:.2f} polls a request, noticed after "
                f"{each.lag:.2f} s on average, {each.p95_lag:.2f} s at the 95th percentile"
            )
        found += [
            Comparison(
                f"polls of a request, sigma {sigma}",
                _polls("learned", subject),
                _polls("every 10 s", base),
                POLLS,
                "polls",
            ),
            Comparison(
                f"notice after the result, sigma {sigma}",
                _lag("learned", subject),
                _lag("every 10 s", base),
                LAG,
                "s",
            ),
        ]
    return found


def _polls(name: str, of: Outcome) -> Timing:
    """The average stands for the median, which is a whole number."""
    return Timing(name, of.polls, of.p95_polls)


def _lag(name: str, of: Outcome) -> Timing:
    return Timing(name, of.median_lag, of.p95_lag)
