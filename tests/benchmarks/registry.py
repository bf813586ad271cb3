"""Every benchmark, by the name it is called by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.benchmarks import (
    admission,
    budgets,
    chain,
    growth,
    in_flight,
    polling,
    rate_check,
    reads,
    recovery,
    retention,
    scaling,
    transitions,
)
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One subject: what it compares, in a line of help, and how."""

    summary: str
    run: Callable[[Ground], list[Comparison]]


BENCHMARKS: Final[dict[str, Benchmark]] = {
    "admission": Benchmark("an admission and a refusal against a plain INSERT", admission.run),
    "budgets": Benchmark("16 clients under shared budgets against plain INSERTs", budgets.run),
    "rate-check": Benchmark("the rate check against SELECT 1", rate_check.run),
    "transitions": Benchmark("a guarded move against a plain UPDATE and INSERT", transitions.run),
    "reads": Benchmark("history and statistics against the time they may take", reads.run),
    "retention": Benchmark("admissions while half of all requests are deleted", retention.run),
    "polling": Benchmark("learned polls against a fixed 10 s, simulated", polling.run),
    "growth": Benchmark("admission and rate check with ten times the rows", growth.run),
    "reads-growth": Benchmark("history and statistics with ten times the rows", reads.run_growth),
    "chain": Benchmark("the chain against four links that do nothing", chain.run),
    "in-flight": Benchmark("5,000 operations under way, each noticed in time", in_flight.run),
    "recovery": Benchmark("from a death until all goes on, by what died", recovery.run),
    "scaling": Benchmark("one, two and four processes on queues of any length", scaling.run),
}
