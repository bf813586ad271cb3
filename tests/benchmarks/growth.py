"""Whether ten times the requests make an admission or a rate check slower."""

from dataclasses import replace

from db.standing import Outcome
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, measure
from tests.benchmarks.rate_check import rate_check
from tests.benchmarks.samples import admission

BOUND = 1.25


def run(ground: Ground) -> list[Comparison]:
    """Two databases of one server, so that the two sizes can be asked in turn."""
    # Both are there before the first connection is, which would not outlive the filling.
    ordinary, larger = ground.database, ground.larger_database
    with ordinary.autocommit() as small, larger.autocommit() as large:
        timings = measure(
            {
                "small admission": admission(small, expected=Outcome.ADMITTED),
                "large admission": admission(large, expected=Outcome.ADMITTED),
                "small rate check": rate_check(small),
                "large rate check": rate_check(large),
            },
            ground.samples,
        )
    return [
        Comparison(
            f"{what}, {ground.more_rows:,} rows",
            replace(timings[f"large {what}"], name=f"{what}, {ground.more_rows:,} rows"),
            replace(timings[f"small {what}"], name=f"{what}, {ground.rows:,} rows"),
            BOUND,
        )
        for what in ("admission", "rate check")
    ]
