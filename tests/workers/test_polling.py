"""Polls are put where results are likely, and come to an end whatever was learned."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.simulation import (
    LATELY,
    TIMEOUT,
    Outcome,
    ages,
    experience,
    fixed,
    follow,
    generations,
    learned,
    lognormal,
)
from workers.polling import FLOOR, SPARSEST, schedule

TIMES = st.lists(st.floats(0, TIMEOUT), min_size=20, max_size=60)
PACES = st.floats(0.2, 60)


@given(TIMES, PACES, PACES)
def test_polls_are_finite_and_never_denser_or_sparser_than_allowed(
    times: Sequence[float], first: float, every: float
) -> None:
    by = schedule(experience(times), first=timedelta(seconds=first), every=timedelta(seconds=every))
    asked = [*ages(by, TIMEOUT)]
    pauses = [later - earlier for earlier, later in pairwise(asked)]
    assert asked[0] == by.first >= round(first, 3)
    assert all(min(FLOOR, every) - 1e-5 <= each <= SPARSEST * every + 1e-5 for each in pauses)


@given(TIMES, st.floats(0, TIMEOUT), st.floats(0, TIMEOUT))
def test_who_looks_later_asks_no_earlier(times: Sequence[float], one: float, other: float) -> None:
    """But for the pause that is kept in any case."""
    by = learned(times)
    earlier, later = sorted((timedelta(seconds=one), timedelta(seconds=other)))
    least = timedelta(microseconds=10)
    assert later + by.next_after(later) + least >= earlier + by.next_after(earlier)
    assert by.is_too_early(later) <= by.is_too_early(earlier)


@given(PACES, PACES, st.floats(0, TIMEOUT))
def test_where_nothing_is_known_the_providers_schedule_holds(
    first: float, every: float, age: float
) -> None:
    start, step, now = (timedelta(seconds=each) for each in (first, every, age))
    by = schedule(None, first=start, every=step)
    assert by.is_too_early(now) is (now < start)
    assert by.next_after(now) == (start - now if now < start else step)


def test_nothing_is_asked_before_a_result_is_likely_and_much_when_most_come() -> None:
    draw = lognormal(0.15, 1)
    asked = [*ages(learned([draw() for _ in range(LATELY)]), 200)]
    early = sum(draw() < asked[0] for _ in range(2000)) / 2000
    assert asked[0] > 40
    assert early < 0.05

    def pause(at: float) -> float:
        return next(later - earlier for earlier, later in pairwise(asked) if later > at)

    assert pause(70) < 4 < pause(50)
    assert pause(130) == pytest.approx(15)


@pytest.mark.parametrize(("sigma", "fewer", "sooner"), [(0.15, 0.9, 0.5), (0.35, 0.9, 0.85)])
@pytest.mark.parametrize("seed", range(5))
def test_where_times_are_narrow_it_asks_less_and_notices_sooner(
    sigma: float, fewer: float, sooner: float, seed: int
) -> None:
    assert_better(sigma, seed, fewer=fewer, sooner=sooner)


@pytest.mark.parametrize("seed", range(5))
def test_where_times_are_wide_it_notices_sooner_by_no_more_polls(seed: int) -> None:
    assert_better(0.45, seed, fewer=1.0, sooner=0.95)


def assert_better(sigma: float, seed: int, *, fewer: float, sooner: float) -> None:
    draw = lognormal(sigma, seed)
    by = learned([draw() for _ in range(LATELY)])
    times = [draw() for _ in range(2000)]
    before, now = follow(fixed(), times), follow(by, times)
    assert now.polls <= fewer * before.polls
    assert now.lag <= sooner * before.lag


@pytest.mark.parametrize("sigma", [0.15, 0.35, 0.45])
def test_twenty_are_enough_to_be_no_worse_on_average(sigma: float) -> None:
    draw = lognormal(sigma, 0)
    before = follow(fixed(), [draw() for _ in range(2000)])
    found = [generations(draw, 1, lately=20) for _ in range(10)]
    assert sum(each.polls for each in found) < 10 * before.polls
    assert sum(each.lag for each in found) < 10 * before.lag


@pytest.mark.parametrize("sigma", [0.15, 0.35, 0.45])
def test_learning_from_its_own_notices_does_not_drift(sigma: float) -> None:
    draw = lognormal(sigma, 3)
    before = follow(fixed(), [draw() for _ in range(2000)])
    for number in (1, 2, 5, 20):
        found = generations(draw, number)
        assert found.polls < before.polls
        assert found.lag < before.lag
        assert found.p95_lag < SPARSEST * 10


@pytest.mark.parametrize("takes", [30.0, 70.0, 70.4])
def test_what_always_takes_the_same_is_noticed_at_once(takes: float) -> None:
    found = generations(lambda: takes, 6)
    assert found.lag < 2
    assert found.polls < follow(fixed(), [takes]).polls


@pytest.mark.parametrize("middle", [35.0, 140.0])
def test_a_provider_that_changes_costs_little_until_that_is_learned(middle: float) -> None:
    """Twice as fast, or half as fast, from one moment to the next."""
    draw, changed = lognormal(0.15, 5), lognormal(0.15, 6, middle=middle)
    before = follow(fixed(), [changed() for _ in range(2000)])
    known = [draw() for _ in range(LATELY)]
    found: list[Outcome] = []
    for _ in range(12):
        found.append(follow(learned(known), [changed() for _ in range(20)]))
        known += found[-1].notices
    assert found[0].polls < 1.5 * before.polls
    assert max(each.lag for each in found) < 15
    assert found[-1].lag < before.lag
