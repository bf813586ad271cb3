"""RL6: the monthly quota, and what an administrator allows single users."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from db import admission, limits, quotas
from db.engine import Database
from db.standing import MonthlyQuota, Outcome, RateLimit, Standing, UserQuota
from tests.db.crowds import admit_at_once, many_connections
from tests.db.rows import admit, admitted, new_request

ZONES = ["UTC", "America/New_York", "Pacific/Kiritimati", "Pacific/Pago_Pago"]

INSERT = text(
    """
    INSERT INTO video_requests (
      id, user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
      status, created_at, counted, cost_usd
    )
    VALUES (
      :id, :user, 'guild', 'channel', 'A prompt', 4, '16:9', '720p',
      'pending', CAST(:at AS timestamptz), :counted, 1
    )
    """
)


def insert(conn: Connection, at: str, *, user: str = "alice", counted: bool = True) -> None:
    conn.execute(INSERT, {"id": uuid4(), "user": user, "at": at, "counted": counted})


def this_month(conn: Connection) -> datetime:
    found: datetime = conn.execute(text("SELECT video_period_start('month', now())")).scalar_one()
    return found


def next_month(start: datetime) -> datetime:
    return (start + timedelta(days=31)).replace(day=1)


def standing(database: Database, user: str = "alice", *, quota: int = 100) -> Standing:
    with database.begin() as conn:
        return limits.get_standing(conn, user, "guild", daily_limit=5, monthly_quota=quota)


def test_rl6_a_hundred_at_once_make_as_many_rows_as_the_quota(database_url: str) -> None:
    with many_connections(database_url, 100) as database:
        news = [new_request() for _ in range(100)]
        answers = admit_at_once(database, news, limit=1000, quota=7)
        with database.begin() as conn:
            rows = conn.execute(text("SELECT count(*) FROM video_requests")).scalar_one()
            reset_at = next_month(this_month(conn))
    assert rows == 7
    assert Counter(answer.outcome for answer in answers) == {"admitted": 7, "refused": 93}
    refusals = {answer.refused_by for answer in answers if not answer.is_allowed}
    assert refusals == {MonthlyQuota(7, 7, reset_at)}


def test_rl6_a_refusal_writes_nothing_and_is_a_warning(database: Database) -> None:
    admitted(database)
    with capture_logs() as logs:
        answer = admit(database, quota=1)
    with database.begin() as conn:
        reset_at = next_month(this_month(conn))
        assert conn.execute(text("SELECT count(*) FROM video_events")).scalar_one() == 1
    assert answer.outcome is Outcome.REFUSED
    assert answer.refused_by == MonthlyQuota(1, 1, reset_at)
    assert answer.limit
    assert (answer.limit.used, answer.limit.remaining) == (1, 4)
    assert logs == [
        {
            "event": "monthly_quota_reached",
            "log_level": "warning",
            "user_id": "alice",
            "count": 1,
            "limit": 1,
            "reset_at": reset_at,
        }
    ]


def test_rl6_the_rolling_24_hours_refuse_first(database: Database) -> None:
    admitted(database)
    answer = admit(database, limit=1, quota=1)
    assert isinstance(answer.refused_by, RateLimit)
    assert answer.refused_by == answer.limit


def test_rt6_a_known_id_is_answered_before_the_quota(database: Database) -> None:
    request_id = admitted(database)
    assert admit(database, quota=1, id=request_id).outcome is Outcome.EXISTS
    assert not admit(database, quota=1).is_allowed


@pytest.mark.parametrize("zone", ZONES)
def test_rl6_last_month_does_not_count_wherever_the_session_is(
    database: Database, zone: str
) -> None:
    with database.autocommit() as conn:
        start = this_month(conn)
        insert(conn, (start - timedelta(microseconds=1)).isoformat())
        insert(conn, start.isoformat())
        conn.execute(text("SELECT set_config('timezone', :zone, false)"), {"zone": zone})
        new = new_request()
        lease = timedelta(minutes=1)
        answer = admission.admit(conn, new, daily_limit=1000, monthly_quota=1, lease=lease)
        assert answer.refused_by == MonthlyQuota(1, 1, next_month(start))
        assert admission.admit(conn, new, daily_limit=1000, monthly_quota=2, lease=lease).is_allowed


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize(
    ("moment", "day", "next_day", "month", "next_month"),
    [
        ("2026-01-31 23:59:59.999999", "2026-01-31", "2026-02-01", "2026-01-01", "2026-02-01"),
        ("2026-02-01 00:00:00", "2026-02-01", "2026-02-02", "2026-02-01", "2026-03-01"),
        ("2026-02-28 23:59:59.999999", "2026-02-28", "2026-03-01", "2026-02-01", "2026-03-01"),
        ("2028-02-28 12:00:00", "2028-02-28", "2028-02-29", "2028-02-01", "2028-03-01"),
        ("2028-02-29 23:59:59.999999", "2028-02-29", "2028-03-01", "2028-02-01", "2028-03-01"),
        ("2026-12-31 23:59:59.999999", "2026-12-31", "2027-01-01", "2026-12-01", "2027-01-01"),
        # Clocks change in New York.
        ("2026-03-08 07:30:00", "2026-03-08", "2026-03-09", "2026-03-01", "2026-04-01"),
        ("2026-11-01 06:30:00", "2026-11-01", "2026-11-02", "2026-11-01", "2026-12-01"),
    ],
)
def test_rl6_days_and_months_begin_in_utc(
    database: Database, zone: str, moment: str, day: str, next_day: str, month: str, next_month: str
) -> None:
    edges = text(
        """
        SELECT
          video_period_start('day', moment), video_period_end('day', moment),
          video_period_start('month', moment), video_period_end('month', moment)
        FROM (SELECT CAST(:moment AS timestamptz) AS moment) AS given
        """
    )
    with database.begin() as conn:
        conn.execute(text("SELECT set_config('timezone', :zone, true)"), {"zone": zone})
        found = conn.execute(edges, {"moment": f"{moment}+00"}).one()
    assert [each.astimezone(UTC).isoformat() for each in found] == [
        f"{each}T00:00:00+00:00" for each in (day, next_day, month, next_month)
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_rl6_a_month_is_counted_and_summed_from_edge_to_edge(database: Database, zone: str) -> None:
    """By the functions that admission uses, at moments that are not now."""
    at = [
        "2028-01-31 23:59:59.999999+00",
        "2028-02-01 00:00+00",
        "2028-02-29 00:00+00",
        "2028-02-29 23:59:59.999999+00",
        "2028-03-01 00:00+00",
    ]
    used = text(
        """
        SELECT used
        FROM monthly_standing('alice', 100, CAST(:moment AS timestamptz))
        """
    )
    spent = text(
        """
        SELECT video_spending(scope, name, period, video_period_start(period, moment))
        FROM
          (VALUES ('user', 'alice'), ('guild', 'guild'), ('all', '')) AS scopes (scope, name),
          (VALUES ('day'), ('month')) AS periods (period),
          (SELECT CAST(:moment AS timestamptz) AS moment) AS given
        ORDER BY period
        """
    )
    with database.begin() as conn:
        conn.execute(text("SELECT set_config('timezone', :zone, true)"), {"zone": zone})
        for number, moment in enumerate(at):
            insert(conn, moment)
            # Those of the month up to now.
            assert conn.execute(used, {"moment": moment}).scalar_one() == [1, 1, 2, 3, 1][number]
        for moment, of_day, of_month in zip(at, [1, 1, 2, 2, 1], [1, 3, 3, 3, 1], strict=True):
            found = conn.execute(spent, {"moment": moment}).scalars().all()
            assert found == [of_day] * 3 + [of_month] * 3


def test_rl6_only_what_counts_counts(database: Database) -> None:
    with database.begin() as conn:
        start = this_month(conn).isoformat()
        for _ in range(3):
            insert(conn, start, counted=False)
            insert(conn, start, user="bob")
    assert standing(database).monthly.used == 0
    assert standing(database, "bob", quota=2).monthly.used == 2


def test_re1_a_remnant_counts_like_its_request(database: Database) -> None:
    admitted(database)
    with database.begin() as conn:
        conn.execute(
            text(
                """
                INSERT INTO request_remnants
                VALUES
                  ('alice', 'guild', now(), 0),
                  ('alice', 'guild', now() - interval '1 hour', 0)
                """
            )
        )
    found = standing(database)
    assert found.daily.used == 3
    refusal = admit(database, limit=3)
    assert isinstance(refusal.refused_by, RateLimit)
    # The oldest is the remnant.
    assert refusal.refused_by.resets_in == "resets in 23h 0m"
    assert admit(database, limit=4).is_allowed


def test_rl6_the_seeds_default_rows_are_there(database: Database) -> None:
    with database.begin() as conn:
        assert quotas.get(conn, "admin") == UserQuota("admin", None, 1000)
        assert quotas.get(conn, "anonymous") == UserQuota("anonymous", None, 10)
        assert quotas.get(conn, "alice") is None
    assert standing(database, "admin").monthly.limit == 1000
    assert standing(database, "anonymous").monthly.limit == 10
    assert standing(database, "anonymous").daily.limit == 5


def test_rl6_what_is_set_for_a_user_holds_for_that_user(database: Database) -> None:
    with database.begin() as conn:
        assert quotas.set_limits(conn, "alice", daily=2) == UserQuota("alice", 2, None)
        assert quotas.set_limits(conn, "alice", monthly=3) == UserQuota("alice", 2, 3)
        assert limits.get_remaining_quota(conn, "alice", 5) == 2
    for _ in range(2):
        assert admit(database).is_allowed
    refusal = admit(database)
    assert isinstance(refusal.refused_by, RateLimit)
    assert (refusal.refused_by.used, refusal.refused_by.limit) == (2, 2)
    with database.begin() as conn:
        quotas.set_limits(conn, "alice", daily=1000)
    assert admit(database).is_allowed
    assert isinstance(admit(database).refused_by, MonthlyQuota)
    assert admit(database, user_id="bob").is_allowed
    with database.begin() as conn:
        assert quotas.reset(conn, "alice")
        assert not quotas.reset(conn, "alice")
    assert (standing(database).daily.limit, standing(database).monthly.limit) == (5, 100)


@pytest.mark.parametrize("kind", ["daily", "monthly"])
def test_rl6_a_limit_of_none_is_not_no_limit(database: Database, kind: str) -> None:
    given: dict[str, Any] = {kind: 0}
    with database.begin() as conn:
        quotas.set_limits(conn, "alice", **given)
    refusal = admit(database)
    assert refusal.refused_by
    assert not isinstance(refusal.refused_by, RateLimit) or refusal.refused_by.reset_at is None
    found = standing(database)
    assert (found.daily if kind == "daily" else found.monthly).remaining == 0
    assert admit(database, user_id="bob").is_allowed


def test_rl6_reading_consumes_nothing_and_says_what_admission_would(database: Database) -> None:
    for used in range(1, 4):
        admitted(database)
        found = standing(database, quota=3)
        assert (found.daily.used, found.monthly.used, found.budgets) == (used, used, [])
    assert found.refusing(new_request().cost_usd or 0) == found.monthly  # type: ignore[arg-type]
    assert admit(database, quota=3).refused_by == found.monthly
