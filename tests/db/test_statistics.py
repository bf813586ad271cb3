"""QH2, QH3, QH4, RL5: every figure against a plain recomputation over random histories."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from math import ceil, floor
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from db import statistics
from db.engine import Database
from db.figures import Figures, LimitReached
from db.states import Status
from db.statistics import Period
from tests.db.histories import (
    EDGES,
    GUILDS,
    MICROSECOND,
    USERS,
    ZONES,
    Made,
    bounds,
    histories,
    is_within,
    kept,
    made_at,
)

PERIODS: tuple[Period, ...] = get_args(Period)
DAY = timedelta(hours=24)

zones = st.sampled_from(ZONES)
few_examples = settings(max_examples=60)


def within(
    made: Iterable[Made], since: datetime | None, until: datetime | None, **whose: str
) -> list[Made]:
    return [
        each
        for each in made
        if is_within(each.created_at, since, until)
        and all(getattr(each, name) == value for name, value in whose.items())
    ]


def assert_figures(found: Figures, made: list[Made]) -> None:
    """By the words of QH2, QH3 and QH4."""
    statuses = [each.status for each in made]
    assert found.by_status == {status: statuses.count(status) for status in Status}
    assert found.total == len(made)
    assert found.in_progress == sum(not status.has_ended for status in statuses)
    failures = statuses.count(Status.FAILED) + statuses.count(Status.TIMEOUT)
    ended = failures + statuses.count(Status.COMPLETED)
    assert found.failures == failures
    assert found.failure_rate == (pytest.approx(failures / ended * 100) if ended else None)
    assert found.cost_usd == sum(each.cost_usd or 0 for each in made)
    durations = completed(made)
    average = sum(durations) / len(durations) if durations else None
    assert found.average_duration_ms == average


def completed(made: list[Made]) -> list[int]:
    return [each.taken_ms for each in made if each.status is Status.COMPLETED]


def percentile(durations: list[int], fraction: float) -> float | None:
    """As percentile_cont is defined: between the two nearest, in proportion."""
    if not durations:
        return None
    place = fraction * (len(durations) - 1)
    lower, upper = (sorted(durations)[round_(place)] for round_ in (floor, ceil))
    return lower + (upper - lower) * (place - floor(place))


def start_of(moment: datetime, by: Period) -> datetime:
    midnight = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    match by:
        case "day":
            return midnight
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)


# --- QH4: a user ------------------------------------------------------------------------------


@given(histories, bounds, bounds, zones)
@few_examples
def test_qh4_a_users_figures(
    table: Database, made: list[Made], since: datetime | None, until: datetime | None, zone: str
) -> None:
    with kept(table, made, zone) as conn:
        for user in USERS:
            found = statistics.of_user(conn, user, since=since, until=until)
            seen = [each for each in made if not each.deleted]
            assert_figures(found, within(seen, since, until, user_id=user))
            assert_figures(statistics.of_user(conn, user), within(seen, None, None, user_id=user))


def test_of_nobody_there_is_nothing_to_tell(table: Database) -> None:
    with kept(table, []) as conn:
        found = statistics.of_user(conn, "nobody")
        nowhere = statistics.of_guild(conn, "nowhere")
        never = statistics.of_all(conn)
        assert statistics.who_reached_limit(conn, 1) == []
    for each in (found, nowhere, never):
        assert_figures(each, [])
    assert (nowhere.periods, nowhere.top_prompts) == ([], [])
    assert (never.p50_ms, never.p95_ms, never.p99_ms) == (None, None, None)


# --- QH2: a guild -----------------------------------------------------------------------------


@given(histories, bounds, bounds, st.sampled_from(PERIODS), zones)
@few_examples
def test_qh2_a_guilds_figures(
    table: Database,
    made: list[Made],
    since: datetime | None,
    until: datetime | None,
    by: Period,
    zone: str,
) -> None:
    with kept(table, made, zone) as conn:
        for guild in GUILDS:
            found = statistics.of_guild(conn, guild, by=by, since=since, until=until)
            seen = [each for each in made if not each.deleted]
            counted = within(seen, since, until, guild_id=guild)
            assert_figures(found, counted)
            starts = {start_of(each.created_at, by) for each in counted}
            assert [period.start for period in found.periods] == sorted(starts, reverse=True)
            for period in found.periods:
                of_it = [each for each in counted if start_of(each.created_at, by) == period.start]
                assert_figures(period, of_it)
            prompts = Counter(each.prompt for each in counted).items()
            most_common = sorted(prompts, key=lambda each: (-each[1], each[0].encode()))
            assert found.top_prompts == most_common[:10]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("edge", EDGES, ids=str)
@pytest.mark.parametrize("by", PERIODS)
def test_qh2_a_microsecond_parts_two_periods_wherever_the_session_is(
    table: Database, by: Period, edge: datetime, zone: str
) -> None:
    around = [start_of(edge, by) - MICROSECOND, start_of(edge, by)]
    with kept(table, map(made_at, around), zone) as conn:
        found = statistics.of_guild(conn, "guild", by=by)
    assert [(period.start, period.total) for period in found.periods] == [
        (start_of(moment, by), 1) for moment in reversed(around)
    ]


def test_qh2_the_eleventh_prompt_is_left_out(table: Database) -> None:
    made = [
        made_at(EDGES[0], prompt=f"prompt {number:02}")
        for number in range(11)
        for _ in range(20 - number)
    ]
    with kept(table, made) as conn:
        found = statistics.of_guild(conn, "guild")
    assert found.top_prompts == [(f"prompt {number:02}", 20 - number) for number in range(10)]


# --- QH3: everybody ---------------------------------------------------------------------------


@given(histories, bounds, bounds, zones)
@few_examples
def test_qh3_everybodys_figures(
    table: Database, made: list[Made], since: datetime | None, until: datetime | None, zone: str
) -> None:
    with kept(table, made, zone) as conn:
        found = statistics.of_all(conn, since=since, until=until)
    counted = within(made, since, until)
    assert_figures(found, counted)
    durations = completed(counted)
    for told, fraction in ((found.p50_ms, 0.5), (found.p95_ms, 0.95), (found.p99_ms, 0.99)):
        expected = percentile(durations, fraction)
        assert told == (expected if expected is None else pytest.approx(expected, rel=1e-12))


def test_qh3_the_percentiles_lie_between_two_requests(table: Database) -> None:
    made = [made_at(EDGES[0], taken_ms=taken) for taken in (4000, 1000, 3000, 2000)]
    made.append(made_at(EDGES[0], taken_ms=300_000, status=Status.TIMEOUT))
    with kept(table, made) as conn:
        found = statistics.of_all(conn)
    assert (found.p50_ms, found.p95_ms, found.p99_ms) == pytest.approx((2500, 3850, 3970))
    assert found.average_duration_ms == 2500
    assert found.failure_rate == 20


# --- RL5: who reached the limit ---------------------------------------------------------------


def reached(
    made: list[Made], limit: int, since: datetime | None, until: datetime | None
) -> list[LimitReached]:
    """By the words of RL1 and RL5, request by request."""
    found = []
    for user in USERS:
        asked = within(made, since, until, user_id=user)
        times = [each.created_at for each in made if each.user_id == user and each.counted]
        first = [
            each.created_at
            for each in asked
            if each.counted
            and sum(each.created_at - DAY < time <= each.created_at for time in times) >= limit
        ]
        if first:
            found.append(LimitReached(user, len(asked), min(first)))
    return sorted(found, key=lambda each: (-each.total, each.user_id))


@given(histories, st.integers(1, 6), bounds, bounds, zones)
@settings(max_examples=120)
def test_rl5_who_reached_the_limit(
    table: Database,
    made: list[Made],
    limit: int,
    since: datetime | None,
    until: datetime | None,
    zone: str,
) -> None:
    with kept(table, made, zone) as conn:
        found = statistics.who_reached_limit(conn, limit, since=since, until=until)
    assert found == reached(made, limit, since, until)


NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (DAY - MICROSECOND, [LimitReached("alice", 5, NOON + DAY - MICROSECOND)]),
        # Then the first of them is out of the window, as it is for admission.
        (DAY, []),
    ],
)
@pytest.mark.parametrize("zone", ZONES)
def test_rl5_the_window_is_24_hours_to_the_microsecond(
    table: Database, last: timedelta, expected: list[LimitReached], zone: str
) -> None:
    hours = [timedelta(hours=hour) for hour in (0, 6, 6, 12)]
    with kept(table, [made_at(NOON + after) for after in (*hours, last)], zone) as conn:
        assert statistics.who_reached_limit(conn, 5) == expected


@pytest.mark.parametrize("clocks_change", [EDGES[3], EDGES[5]], ids=["forward", "back"])
@pytest.mark.parametrize("zone", ZONES)
def test_rl5_a_day_has_24_hours_when_the_clocks_change(
    table: Database, clocks_change: datetime, zone: str
) -> None:
    begin = clocks_change - timedelta(hours=12)
    for last, count in ((DAY - MICROSECOND, 1), (DAY, 0)):
        with kept(table, [made_at(begin), made_at(begin + last)], zone) as conn:
            assert len(statistics.who_reached_limit(conn, 2)) == count


def test_rl5_what_came_before_the_range_fills_the_window_but_is_not_counted(
    table: Database,
) -> None:
    made = [made_at(NOON - timedelta(hours=hours)) for hours in (20, 15, 10, 5, 0)]
    with kept(table, made) as conn:
        found = statistics.who_reached_limit(conn, 5, since=NOON)
        assert found == [LimitReached("alice", 1, NOON)]
        # Reached before the range, and not again in it.
        assert statistics.who_reached_limit(conn, 5, since=NOON + MICROSECOND) == []
        assert statistics.who_reached_limit(conn, 5, until=NOON) == []


def test_rl5_what_gave_its_place_back_did_not_fill_the_window(table: Database) -> None:
    made = [made_at(NOON + n * MICROSECOND, counted=n != 2) for n in range(6)]
    with kept(table, made) as conn:
        found = statistics.who_reached_limit(conn, 5)
        assert found == [LimitReached("alice", 6, NOON + 5 * MICROSECOND)]
        assert statistics.who_reached_limit(conn, 6) == []
