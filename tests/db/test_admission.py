"""RL1 to RL3, RT1, RT6, LG1: admission, the one way a request comes into being."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import Connection, insert, text
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from db import admission, events, history, limits, privacy
from db.engine import Database
from db.records import NewRequest
from db.standing import Admission, Outcome, RateLimit
from db.states import Status
from db.tables import video_requests
from tests.db.crowds import admit_at_once, many_connections
from tests.db.rows import LEASE, admit, admit_one, new_request, row

DAY = timedelta(hours=24)


def add_past(
    database: Database, *ages: timedelta, user: str = "alice", counted: bool = True
) -> None:
    """Requests that were made so long ago, by the database's clock."""
    with database.begin() as conn:
        now = conn.execute(text("SELECT now()")).scalar_one()
        for age in ages:
            _insert(conn, now - age, user=user, counted=counted)


def _insert(conn: Connection, created_at: datetime, *, user: str, counted: bool = True) -> None:
    values = new_request(user_id=user).as_row()
    conn.execute(
        insert(video_requests).values(
            **values | {"id": uuid4()}, status="pending", created_at=created_at, counted=counted
        )
    )


def count(database: Database) -> int:
    with database.begin() as conn:
        return int(conn.execute(text("SELECT count(*) FROM video_requests")).scalar_one())


def test_rt1_an_accepted_request_is_a_pending_row_with_its_event(database: Database) -> None:
    new = new_request(
        duration_seconds=8, aspect_ratio="9:16", resolution="1080p", generate_audio=False
    )
    before = datetime.now(UTC)
    with database.autocommit() as conn:
        admission = admit_one(conn, new)
    request = row(database, new.id)
    assert admission.is_allowed
    assert {name: getattr(request, name) for name in NewRequest.__slots__} == {
        name: getattr(new, name) for name in NewRequest.__slots__
    }
    assert request.status is Status.PENDING
    assert request.counted
    assert before <= request.created_at <= datetime.now(UTC)
    assert request.due_at == request.created_at + LEASE
    with database.begin() as conn:
        (created,) = events.of_request(conn, new.id)
    assert created.event_type == "created"
    assert created.created_at == request.created_at
    assert new.prompt not in str(created.event_data)


def test_rl1_a_hundred_commands_of_one_user_at_once_make_five_rows(database_url: str) -> None:
    with many_connections(database_url, 100) as database:
        answers = admit_at_once(database, [new_request() for _ in range(100)])
        assert count(database) == 5
        with database.begin() as conn:
            oldest = conn.execute(text("SELECT min(created_at) FROM video_requests")).scalar_one()
            told = conn.execute(text("SELECT count(*) FROM video_events")).scalar_one()
    assert told == 5
    assert Counter(answer.outcome for answer in answers) == {"admitted": 5, "refused": 95}
    used = sorted(a.limit.used for a in answers if a.is_allowed and a.limit)
    assert used == [1, 2, 3, 4, 5]
    for answer in answers:
        if not answer.is_allowed:
            assert answer.limit == RateLimit(5, 5, oldest, oldest + DAY)


def test_rl1_users_do_not_wait_for_each_other(
    database: Database, outsider: psycopg2.extensions.connection
) -> None:
    with outsider.cursor() as cursor:
        # An admission of alice's that is not over yet.
        cursor.execute(
            "CALL admit_in_turn("
            "jsonb_populate_record(NULL::video_requests, %s), 5, 100, '1 min', NULL)",
            (psycopg2.extras.Json(new_request(user_id="alice").as_row()),),
        )
        with database.autocommit() as conn:
            conn.execute(text("SET lock_timeout = '200ms'"))
            for user in range(50):
                new = new_request(user_id=f"user {user}")
                assert admit_one(conn, new).is_allowed
        with database.autocommit() as conn:
            conn.execute(text("SET lock_timeout = '200ms'"))
            with pytest.raises(OperationalError, match="lock timeout"):
                admit_one(conn, new_request(user_id="alice"))


def test_what_was_asked_for_by_somebody_who_was_forgotten_since_is_not_taken_on(
    database: Database,
) -> None:
    """A message is late; what is asked for afterwards, or nobody knows when, is served."""
    moment = datetime.now(UTC)
    with database.begin() as conn:
        privacy.forget(conn, "alice", at=moment)
    for user, asked_at, outcome in (
        ("alice", moment - timedelta(seconds=1), Outcome.FORGOTTEN),
        ("alice", moment, Outcome.FORGOTTEN),
        ("alice", moment + timedelta(seconds=1), Outcome.ADMITTED),
        ("alice", None, Outcome.ADMITTED),
        ("bob", moment - timedelta(seconds=1), Outcome.ADMITTED),
    ):
        new = new_request(user_id=user)
        with database.autocommit() as conn:
            answer = admission.admit(
                conn, new, daily_limit=5, monthly_quota=100, lease=LEASE, asked_at=asked_at
            )
            assert answer.outcome is outcome
            assert (history.by_id(conn, new.id) is not None) is answer.is_allowed


def test_rt6_the_same_id_twice_is_one_row_and_a_warning(database: Database) -> None:
    new = new_request()
    with database.autocommit() as conn, capture_logs() as logs:
        admit_one(conn, new)
        again = admit_one(conn, new)
    assert again == Admission(Outcome.EXISTS, None)
    assert again.is_allowed
    assert count(database) == 1
    assert logs[1:] == [
        {
            "event": "request_exists",
            "log_level": "warning",
            "request_id": str(new.id),
            "user_id": "alice",
        }
    ]


@pytest.mark.parametrize("users", [1, 20])
def test_rt6_the_same_id_from_many_at_once_is_one_row(database_url: str, users: int) -> None:
    request_id = uuid4()
    with many_connections(database_url, 20) as database:
        for _ in range(5):
            request_id = uuid4()
            answers = admit_at_once(
                database,
                [new_request(id=request_id, user_id=f"user {n % users}") for n in range(20)],
            )
            outcomes = Counter(answer.outcome for answer in answers)
            assert outcomes == {"admitted": 1, "exists": 19}
            with database.begin() as conn:
                assert len(events.of_request(conn, request_id)) == 1
        assert count(database) == 5


def test_rt6_a_known_id_is_answered_before_any_limit(database: Database) -> None:
    request_id = uuid4()
    admit(database, id=request_id)
    add_past(database, *[timedelta(hours=1)] * 5)
    assert admit(database).outcome is Outcome.REFUSED
    assert admit(database, id=request_id).outcome is Outcome.EXISTS


def test_rl1_the_window_is_the_last_24_hours(database: Database) -> None:
    a_bit = timedelta(minutes=1)
    add_past(database, DAY, DAY, DAY + a_bit, *[timedelta(days=30)] * 10)
    for used in range(1, 5):
        answer = admit(database)
        assert answer.limit
        assert (answer.outcome, answer.limit.used) == (Outcome.ADMITTED, used)
    add_past(database, DAY - a_bit)
    refusal = admit(database)
    assert refusal.outcome is Outcome.REFUSED
    assert refusal.limit
    # In a minute the oldest leaves.
    assert 55 < refusal.limit.wait_seconds <= 60
    assert refusal.limit.resets_in == "resets in 1m"


def test_rl1_a_request_exactly_24_hours_old_no_longer_counts(database: Database) -> None:
    with database.begin() as conn:
        now = conn.execute(text("SELECT now()")).scalar_one()
        _insert(conn, now - DAY, user="alice")
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 0
        _insert(conn, now - DAY + timedelta(microseconds=1), user="alice")
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 1


def test_rl1_what_gave_its_place_back_does_not_count(database: Database) -> None:
    add_past(database, *[timedelta(hours=1)] * 10, counted=False)
    add_past(database, *[timedelta(hours=2)] * 4)
    assert admit(database).is_allowed
    assert not admit(database).is_allowed


def test_rl1_nobody_counts_for_anybody_else(database: Database) -> None:
    add_past(database, *[timedelta(hours=1)] * 5, user="bob")
    assert admit(database, user_id="alice").is_allowed
    assert not admit(database, user_id="bob").is_allowed


def test_rl3_after_the_limit_was_lowered_the_newest_requests_decide(database: Database) -> None:
    add_past(database, *(timedelta(hours=hours) for hours in (1, 2, 3, 4, 5)))
    refusal = admit(database, limit=3)
    assert refusal.limit
    assert (refusal.outcome, refusal.limit.used, refusal.limit.limit) == (Outcome.REFUSED, 3, 3)
    # The place comes free when the third newest leaves, not the oldest of all.
    assert refusal.limit.resets_in == "resets in 21h 0m"
    assert admit(database, limit=6).is_allowed


def test_a_limit_of_none_refuses_everybody(database: Database) -> None:
    answer = admit(database, limit=0)
    nothing = RateLimit(0, 0, None, None)
    assert answer == Admission(Outcome.REFUSED, nothing, nothing)


def posix_zone(*, is_spring: bool) -> str:
    """A time zone whose clocks went an hour forward, or back, in the last 24 hours."""

    def rule(moment: datetime) -> str:
        day = min(moment.timetuple().tm_yday, 365)
        return f"J{day}/{moment.hour}"

    change = datetime.now(UTC) - timedelta(hours=12)
    other = change - timedelta(days=180)
    start, end = (change, other) if is_spring else (other, change)
    return f"XST0XDT,{rule(start)},{rule(end)}"


@pytest.mark.parametrize(
    ("is_spring", "ages", "used"),
    [(True, [23.5, 24.01], 1), (False, [23.99, 24.5], 1)],
    ids=["forward", "back"],
)
def test_rl1_the_window_does_not_depend_on_the_sessions_clock_changes(
    database: Database, is_spring: bool, ages: list[float], used: int
) -> None:
    add_past(database, *(timedelta(hours=age) for age in ages))
    with database.autocommit() as conn:
        zone = posix_zone(is_spring=is_spring)
        conn.execute(text("SELECT set_config('timezone', :zone, false)"), {"zone": zone})
        day = conn.execute(text("SELECT extract(epoch FROM now() - (now() - interval '1 day'))"))
        assert day.scalar_one() == (23 if is_spring else 25) * 3600, "the zone is not what we want"
        info = limits.get_rate_limit_info(conn, "alice", 5)
        assert info.used == used
        assert info.reset_at
        assert info.oldest_at
        assert info.reset_at.timestamp() - info.oldest_at.timestamp() == 24 * 3600
        answer = admit_one(conn, new_request())
        assert answer.limit
        assert answer.limit.used == used + 1
        assert answer.limit.reset_at == info.reset_at


def test_rl3_a_refusal_writes_nothing_and_is_a_warning(database: Database) -> None:
    add_past(database, *(timedelta(hours=hours) for hours in (1, 2, 3, 4, 5)))
    with capture_logs() as logs:
        refusal = admit(database)
    assert count(database) == 5
    with database.begin() as conn:
        assert conn.execute(text("SELECT count(*) FROM video_events")).scalar() == 0
        oldest = conn.execute(text("SELECT min(created_at) FROM video_requests")).scalar_one()
    assert refusal.limit == RateLimit(5, 5, oldest, oldest + DAY)
    assert logs == [
        {
            "event": "rate_limit_reached",
            "log_level": "warning",
            "user_id": "alice",
            "count": 5,
            "oldest_request": oldest,
            "reset_at": oldest + DAY,
        }
    ]


def test_rl2_reading_consumes_nothing(database: Database) -> None:
    with database.begin() as conn:
        assert limits.get_rate_limit_info(conn, "alice", 5) == RateLimit(0, 5, None, None)
        assert limits.get_remaining_quota(conn, "alice", 5) == 5
    add_past(database, timedelta(hours=2), timedelta(hours=21, minutes=45))
    with database.begin() as conn:
        info = limits.get_rate_limit_info(conn, "alice", 5)
        assert limits.get_remaining_quota(conn, "alice", 5) == 3
        assert limits.get_remaining_quota(conn, "alice", 1) == 0
    assert (info.used, info.limit, info.remaining) == (2, 5, 3)
    assert info.oldest_at
    assert info.reset_at == info.oldest_at + DAY
    assert info.wait_seconds == 0
    assert info.resets_in == "resets in 2h 15m"
    assert count(database) == 2


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (timedelta(hours=2, minutes=14, seconds=30), "resets in 2h 15m"),
        (timedelta(hours=1, minutes=59, seconds=30), "resets in 2h 0m"),
        (timedelta(minutes=59, seconds=30), "resets in 1h 0m"),
        (timedelta(minutes=14, seconds=30), "resets in 15m"),
        (timedelta(seconds=30), "resets in 1m"),
        (timedelta(seconds=-30), "resets in 0m"),
    ],
)
def test_rl2_when_to_come_back_in_words_is_never_too_early(left: timedelta, words: str) -> None:
    now = datetime.now(UTC)
    limit = RateLimit(5, 5, now + left - DAY, now + left)
    assert limit.resets_in == words
    assert limit.wait_seconds == pytest.approx(max(left.total_seconds(), 0), abs=5)


def test_rl2_nobody_with_a_place_left_waits() -> None:
    now = datetime.now(UTC)
    assert RateLimit(4, 5, now, now + DAY).wait_seconds == 0
    assert RateLimit(0, 5, None, None).resets_in == "nothing to reset"


@pytest.mark.parametrize("length", [20, 50, 51, 600])
def test_lg1_the_log_shows_fifty_characters_of_a_prompt_and_never_more(
    database: Database, length: int
) -> None:
    prompt = "".join(chr(0x4E00 + n) for n in range(length))
    new = new_request(prompt=prompt)
    with capture_logs() as logs, database.autocommit() as conn:
        admit_one(conn, new, limit=1)
        admit_one(conn, new, limit=1)
        admit_one(conn, new_request(prompt=prompt), limit=1)
    assert [log["event"] for log in logs] == [
        "request_created",
        "request_exists",
        "rate_limit_reached",
    ]
    assert logs[0] == {
        "event": "request_created",
        "log_level": "info",
        "request_id": str(new.id),
        "user_id": "alice",
        "guild_id": "guild",
        "prompt_length": length,
        "prompt": prompt[:50],
        "parameters": {
            "duration_seconds": 4,
            "aspect_ratio": "16:9",
            "resolution": "720p",
            "generate_audio": True,
            "model": None,
            "negative_prompt_length": 0,
            "seed": None,
        },
    }
    beyond = set(prompt[50:])
    assert not beyond & set(str(logs))


@pytest.mark.parametrize(
    "prompt", ["🌊🌅 waves", "موجة في البحر", "quotes \"' and \\ %s :x", "a\nb\tc d"]
)
def test_any_prompt_is_stored_as_it_was_written(database: Database, prompt: str) -> None:
    request_id: UUID = uuid4()
    admit(database, id=request_id, prompt=prompt)
    assert row(database, request_id).prompt == prompt
