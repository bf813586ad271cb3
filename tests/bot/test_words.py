"""What people are told."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from bot import words
from db.engine import Database
from db.standing import RateLimit
from tests.db.rows import admitted, row


def used_up(limit: int, **until: float) -> RateLimit:
    reset_at = datetime.now(UTC) + timedelta(**until)
    return RateLimit(limit, limit, reset_at - timedelta(hours=24), reset_at)


def test_a_refusal_says_when_to_come_back() -> None:
    limit = used_up(5, hours=2, minutes=14, seconds=30)
    assert limit.reset_at
    assert words.refusal(limit) == (
        "All 5 videos of the last 24 hours are used. The next one comes free at "
        f"{limit.reset_at:%Y-%m-%d %H:%M} UTC (resets in 2h 15m)."
    )


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ({"seconds": 30}, "resets in 1m"),
        ({"minutes": 59, "seconds": 30}, "resets in 1h 0m"),
        ({"hours": 23, "minutes": 59, "seconds": 30}, "resets in 24h 0m"),
        ({"seconds": -5}, "resets in 0m"),
    ],
)
def test_coming_back_then_is_never_too_early(until: dict[str, float], said: str) -> None:
    assert words.refusal(used_up(5, **until)).endswith(f"({said}).")


def test_a_limit_of_one_is_one_video() -> None:
    assert words.refusal(used_up(1, hours=1)).startswith(
        "The one video of the last 24 hours is used."
    )


def test_a_refusal_without_a_time_says_less() -> None:
    limit = RateLimit(0, 0, None, None)
    assert words.refusal(limit) == "You are allowed 0 videos in 24 hours."


def test_times_are_told_in_utc_whatever_the_zone() -> None:
    reset_at = datetime(2030, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=5)))
    limit = RateLimit(5, 5, reset_at - timedelta(hours=24), reset_at)
    assert "at 2030-01-01 20:30 UTC" in words.refusal(limit)


def test_a_refusal_holds_no_detail_of_the_database() -> None:
    assert not re.search(r"postgres|sql|redis|user_id", words.refusal(used_up(5)).lower())


def test_parameters(database: Database) -> None:
    silent: dict[str, Any] = {"aspect_ratio": "9:16", "generate_audio": False}
    request = row(database, admitted(database, **silent, duration_seconds=8, resolution="1080p"))
    assert words.parameters(request) == "8 s · 9:16 · 1080p · audio off"
    assert words.parameters(row(database, admitted(database))) == "4 s · 16:9 · 720p · audio on"


def test_since() -> None:
    start = datetime(2030, 1, 1, tzinfo=UTC)
    assert words.since(start, start + timedelta(seconds=3.24)) == "+3.2 s"
    assert words.since(start, start) == "+0.0 s"


@pytest.mark.parametrize(
    ("size", "said"),
    [(1, "1 KB"), (812_345, "812 KB"), (999_999, "999 KB"), (1_000_000, "1.0 MB")],
)
def test_file_size(size: int, said: str) -> None:
    assert words.file_size(size) == said


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (1, "number 1 in the queue"),
        (1000, "number 1,000 in the queue"),
        (1001, "behind more than 1,000 others in the queue"),
    ],
)
def test_a_place_is_told_as_far_as_it_is_counted(place: int, said: str) -> None:
    assert words.in_the_queue(place) == said
