"""Who delivers an answer and with which token, statement by statement (DESIGN, 8)."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from db import deliveries, events, progress, replies, requests
from db.engine import Database
from db.records import Delivery, ReplyTo
from db.states import Status
from tests.db.plans import plan
from tests.db.rows import LEASE, admitted, end, in_state, row, start

CHANNEL = "300000000000000000"
TOKEN = ReplyTo("100", "an interaction's token")
SECOND = timedelta(seconds=1)
#: Completed so many hours ago, after so many milliseconds.
FINISHED = text(
    "INSERT INTO video_requests (user_id, guild_id, channel_id, prompt, model,"
    " duration_seconds, aspect_ratio, resolution, status, started_at, completed_at,"
    " duration_ms) SELECT 'a', 'g', 'c', 'a fox', :model, 4, '16:9', '720p', 'completed',"
    " now(), now() - :ago * interval '1 hour', :took FROM generate_series(1, :number)"
)


def ended(database: Database, status: Status = Status.COMPLETED, channel: str = CHANNEL) -> UUID:
    return in_state(database, status, claim=uuid4(), channel_id=channel)


def claim(database: Database, request_id: UUID, who: UUID) -> Delivery | None:
    with database.begin() as conn:
        return deliveries.claim(conn, request_id, who, lease=LEASE)


def let_lease_end(database: Database, request_id: UUID) -> None:
    with database.begin() as conn:
        conn.execute(
            text("UPDATE video_requests SET delivery_due_at = now() WHERE id = :id"),
            {"id": request_id},
        )


def told(database: Database, request_id: UUID) -> list[str]:
    with database.autocommit() as conn:
        found = events.of_request(conn, request_id)
    return [each.event_type for each in found if each.event_type.startswith("deliver")]


@pytest.mark.parametrize("status", [each for each in Status if each.has_ended])
@pytest.mark.parametrize(
    ("channel", "is_due"),
    [(CHANNEL, True), ("1", True), ("cli", False), ("a channel", False), ("1" * 21, False)],
)
def test_an_end_is_due_where_there_is_somebody_to_tell(
    database: Database, status: Status, channel: str, is_due: bool
) -> None:
    found = row(database, ended(database, status, channel))
    assert (found.delivery_due_at is not None) == is_due
    assert found.due_at is None


def test_one_at_a_time_delivers(database: Database) -> None:
    request_id, one, other = ended(database), uuid4(), uuid4()
    first = claim(database, request_id, one)
    assert first is not None
    assert (first.request.delivery_claim, first.request.delivery_attempts) == (one, 1)
    assert claim(database, request_id, other) is None
    # The message of the one came again: its process has died.
    again = claim(database, request_id, one)
    assert again is not None
    assert again.request.delivery_attempts == 2
    let_lease_end(database, request_id)
    assert claim(database, request_id, other) is not None
    assert claim(database, request_id, one) is None


def test_nothing_is_delivered_before_its_end_or_after_its_delivery(database: Database) -> None:
    request_id = in_state(database, Status.GENERATING, claim=uuid4(), channel_id=CHANNEL)
    assert claim(database, request_id, uuid4()) is None
    with database.begin() as conn:
        end(conn, request_id, Status.COMPLETED)
    assert claim(database, request_id, uuid4()) is not None
    for is_first in (True, False):
        with database.begin() as conn:
            assert deliveries.delivered(conn, request_id, {"how": "edit"}) is is_first
    assert told(database, request_id) == ["delivered"]
    assert claim(database, request_id, uuid4()) is None
    assert row(database, request_id).delivered_at is not None


def test_who_lost_the_lease_parks_and_gives_up_nothing(database: Database) -> None:
    request_id, one, other = ended(database), uuid4(), uuid4()
    claim(database, request_id, one)
    let_lease_end(database, request_id)
    claim(database, request_id, other)
    before = row(database, request_id)
    with database.begin() as conn:
        deliveries.park(conn, request_id, one, due_in=SECOND, told={})
        deliveries.give_up(conn, request_id, one, {})
    assert row(database, request_id) == before
    assert not told(database, request_id)
    # But what was sent was sent.
    with database.begin() as conn:
        assert deliveries.delivered(conn, request_id, {})


def test_what_is_parked_comes_back_when_it_is_due(database: Database) -> None:
    request_id, one = ended(database), uuid4()
    claim(database, request_id, one)
    with database.begin() as conn:
        deliveries.park(conn, request_id, one, due_in=-SECOND, told={"reason": "500"})
    with database.begin() as conn:
        assert deliveries.take_due(conn, limit=10, lease=LEASE) == [request_id]
        assert deliveries.take_due(conn, limit=10, lease=LEASE) == []
    # The sweeper has sent it on its way.
    assert claim(database, request_id, uuid4()) is not None
    assert told(database, request_id) == ["delivery_failed"]


def test_two_sweepers_take_different_answers(database: Database) -> None:
    due = {ended(database) for _ in range(4)}
    for request_id in due:
        let_lease_end(database, request_id)
    with database.begin() as one, database.begin() as two:
        first = set(deliveries.take_due(one, limit=3, lease=LEASE))
        second = set(deliveries.take_due(two, limit=10, lease=LEASE))
    assert (len(first), first | second, first & second) == (3, due, set())


def keep(conn: Connection, database: Database) -> UUID:
    request_id = admitted(database, claim=uuid4(), channel_id=CHANNEL)
    replies.keep(conn, request_id, TOKEN)
    return request_id


def tell(conn: Connection, request_id: UUID) -> bool:
    every, at_most = timedelta(seconds=15), timedelta(seconds=8)
    return request_id in progress.begin_telling(conn, [request_id], every=every, at_most=at_most)


def test_a_token_is_kept_once_and_goes_with_the_answer(database: Database) -> None:
    with database.autocommit() as conn:
        request_id = keep(conn, database)
        replies.keep(conn, request_id, ReplyTo("100", "another"))
        assert replies.close(conn, request_id) == (TOKEN, timedelta(0))
        replies.forget(conn, request_id)
        assert replies.close(conn, request_id) == (None, timedelta(0))
        conn.execute(text("TRUNCATE reply_tokens"))
        request_id = keep(conn, database)
        conn.execute(text("DELETE FROM video_requests"))
        assert replies.close(conn, request_id) == (None, timedelta(0))


def test_a_token_dies_after_a_quarter_of_an_hour(database: Database) -> None:
    with database.autocommit() as conn:
        request_id = keep(conn, database)
        conn.execute(text("UPDATE reply_tokens SET expires_at = expires_at - interval '15 min'"))
        assert not tell(conn, request_id)
        assert replies.close(conn, request_id) == (None, timedelta(0))
        replies.forget_expired(conn)
        assert conn.execute(text("SELECT count(*) FROM reply_tokens")).scalar_one() == 0


def test_dc2_progress_is_due_on_change_and_every_15_seconds(database: Database) -> None:
    with database.autocommit() as conn:
        request_id = keep(conn, database)
        assert tell(conn, request_id)
        assert not tell(conn, request_id)
        later = text("UPDATE reply_tokens SET told_at = told_at - interval '15 s'")
        conn.execute(later)
        # That it still waits is no news.
        assert not tell(conn, request_id)
        claimed = row(database, request_id).claim
        assert claimed is not None
        start(conn, request_id, claimed)
        # An edit that is under way is not overtaken.
        assert not tell(conn, request_id)
        progress.end_telling(conn, [request_id])
        assert tell(conn, request_id)
        progress.end_telling(conn, [request_id])
        assert not tell(conn, request_id)
        conn.execute(later)
        assert tell(conn, request_id)


def test_no_progress_is_told_of_what_has_ended_or_is_being_delivered(database: Database) -> None:
    with database.autocommit() as conn:
        request_id = keep(conn, database)
        assert tell(conn, request_id)
        _, busy = replies.close(conn, request_id)
        assert timedelta(seconds=7) < busy <= timedelta(seconds=8)
        progress.end_telling(conn, [request_id])
        assert replies.close(conn, request_id) == (TOKEN, timedelta(0))
        claimed = row(database, request_id).claim
        assert claimed is not None
        start(conn, request_id, claimed)
        assert not tell(conn, request_id)
        over = keep(conn, database)
        claimed = row(database, over).claim
        assert claimed is not None
        start(conn, over, claimed)
        requests.time_out(conn, over, message="It took too long")
        assert not tell(conn, over)


def test_experience_is_of_twenty_or_more_of_the_same_kind(database: Database) -> None:
    with database.autocommit() as conn:

        def finish(number: int, took: int, *, model: str = "m", ago: int = 0) -> None:
            values = {"number": number, "took": took, "model": model, "ago": ago}
            conn.execute(FINISHED, values)

        finish(10, 60_000)
        finish(9, 80_000)
        finish(50, 5_000, model="other")
        assert progress.experience(conn, "m", 4) is None
        finish(1, 80_000)
        found = progress.experience(conn, "m", 4)
        assert found is not None
        assert (found.half, found.most) == (70.0, 80.0)
        assert progress.experience(conn, "m", 8) is None
        assert progress.experience(conn, None, 4) is None
        # The latest two hundred count.
        finish(200, 30_000)
        finish(500, 90_000, ago=2)
        found = progress.experience(conn, "m", 4)
        assert found is not None
        assert (found.half, found.most) == (30.0, 30.0)


def test_experience_has_the_times_that_a_schedule_is_made_of(database: Database) -> None:
    with database.autocommit() as conn:
        conn.execute(FINISHED, {"model": "m", "ago": 24 * 8, "took": 1_000, "number": 100})
        # Of a week ago: too long.
        assert progress.experience(conn, "m", 4) is None
        for took in range(101):
            conn.execute(FINISHED, {"model": "m", "ago": 1, "took": took * 1000, "number": 1})
        found = progress.experience(conn, "m", 4)
    assert found is not None
    assert [share for share, _ in found.quantiles] == [*progress.SHARES]
    assert [seconds for _, seconds in found.quantiles] == pytest.approx(
        [100 * share for share in progress.SHARES]
    )
    assert (found.half, found.most) == (50.0, 95.0)


def test_experience_is_read_from_its_index_alone(database: Database) -> None:
    """No more of it than the latest two hundred, of thousands."""
    with database.autocommit() as conn:
        for model, number in (("m", 5000), ("other", 5000)):
            conn.execute(FINISHED, {"model": model, "ago": 1, "took": 70_000, "number": number})
        conn.execute(text("VACUUM ANALYZE video_requests"))
    with database.begin() as conn:
        found = plan(conn, lambda conn: progress.experience(conn, "m", 4))
    assert found.scans == [("Index Only Scan", "idx_video_requests_experience", progress.SAMPLE)]


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (
            "SELECT id FROM video_requests WHERE delivery_due_at <= now()"
            " ORDER BY delivery_due_at LIMIT 1000 FOR UPDATE SKIP LOCKED",
            "idx_video_requests_delivery_due",
        ),
        (
            "SELECT duration_ms FROM video_requests WHERE status = 'completed' AND model = 'm'"
            " AND duration_seconds = 4 ORDER BY completed_at DESC LIMIT 200",
            "idx_video_requests_experience",
        ),
        ("DELETE FROM reply_tokens WHERE expires_at <= now()", "idx_reply_tokens_expires"),
    ],
)
def test_what_is_asked_every_second_is_answered_by_an_index(
    database: Database, question: str, index: str
) -> None:
    with database.begin() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        explained = "\n".join(conn.execute(text(f"EXPLAIN {question}")).scalars())
    assert index in explained, explained
