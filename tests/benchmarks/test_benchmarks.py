"""The benchmarks run. Whether their bounds hold is for a quiet machine to say."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.benchmarks.measuring import Comparison, Timing, measure

ROOT = Path(__file__).parents[2]

#: A run with one benchmark, which takes three times as long as what it is compared with.
ONE_BENCHMARK = """
from tests.benchmarks import __main__, registry
from tests.benchmarks.measuring import Comparison, Timing
subject, base = Timing("subject", 3.0, 4.0), Timing("base", 1.0, 2.0)
run = lambda ground: [Comparison("name", subject, base, {bound})]
registry.BENCHMARKS.clear()
registry.BENCHMARKS["name"] = registry.Benchmark("summary", run)
__main__.main(["--json", *{options}])
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_a_quick_run_of_them_all() -> None:
    done = run("-m", "tests.benchmarks", "--quick", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [each["name"] for each in found] == [
        "admission of a new user",
        "refusal of a user with 1,000",
        "16 clients under budgets",
        "the same, a disk that takes 10 ms more",
        "rate check of a user with 1,000",
        "the seed's COUNT(*) of that user",
        "start",
        "complete",
        "user history, first page",
        "user history, last page by offset",
        "user history, last page by place",
        "guild statistics, 30 days",
        "guild statistics, all time",
        "global statistics, 24 h",
        "global statistics, all time",
        "admission while old requests go, median",
        "admission while old requests go, 99th percentile",
        "polls of a request, sigma 0.15",
        "notice after the result, sigma 0.15",
        "polls of a request, sigma 0.35",
        "notice after the result, sigma 0.35",
        "polls of a request, sigma 0.45",
        "notice after the result, sigma 0.45",
        "admission, 100,000 rows",
        "rate check, 100,000 rows",
        "user history, 100,000 rows",
        "guild statistics, 100,000 rows",
        "global statistics, 100,000 rows",
        "chain among many, a chain",
        "chain alone, to its end",
        "notice, median",
        "notice, 99th percentile",
        "processors, all together",
        "memory of the worker",
        "beat, the next",
        "beat, the last",
        "a request, 40 queued, 1 processes",
        "notice, 40 queued, 1 processes",
    ]
    assert all(each["ratio"] > 0 and each["holds"] is None for each in found)
    assert "100,000 of 100,000 rows are there" in done.stderr


@pytest.mark.parametrize(
    ("bound", "options", "status"),
    [(3.0, [], 0), (2.9, [], 1), (None, [], 0), (2.9, ["--quick"], 0)],
)
def test_a_missed_bound_is_told_by_the_exit_status(
    bound: float | None, options: list[str], status: int
) -> None:
    done = run("-c", ONE_BENCHMARK.format(bound=bound, options=options))
    assert done.returncode == status, done.stderr
    assert json.loads(done.stdout)[0]["ratio"] == 3.0


def test_an_unknown_name_is_refused() -> None:
    done = run("-m", "tests.benchmarks", "nonsense")
    assert done.returncode == 2
    assert "rate-check" in done.stderr


def test_every_round_takes_one_sample_of_each_side_and_no_preparation() -> None:
    told: list[str] = []

    def side(name: str) -> Callable[[], Callable[[], object]]:
        def prepare() -> Callable[[], object]:
            told.append(f"prepare {name}")
            return lambda: told.append(name)

        return prepare

    found = measure({"a": side("a"), "b": side("b")}, samples=10)
    assert set(found) == {"a", "b"}
    acts = [each for each in told if not each.startswith("prepare")]
    rounds = [{*acts[n : n + 2]} for n in range(0, len(acts), 2)]
    # One in ten more, to get warm.
    assert rounds == [{"a", "b"}] * 11
    assert told[::2] == [f"prepare {name}" for name in told[1::2]]


def test_a_comparison_holds_up_to_its_bound() -> None:
    three, two = Timing("three", 3.0, 9.0), Timing("two", 2.0, 9.0)
    assert Comparison("", three, two, 1.5).holds
    assert Comparison("", three, two, 1.4).holds is False
    assert Comparison("", three, two).holds is None
