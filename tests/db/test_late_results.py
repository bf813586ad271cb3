"""Videos that miss their time, statement by statement: looked for, found, billed, told of (EV1)."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text

from db import (
    budgets,
    deliveries,
    events,
    forgetting,
    keeping,
    late_results,
    limits,
    privacy,
    replies,
    requests,
)
from db.deliveries import LATE
from db.engine import Database
from db.errors import DatabaseError
from db.records import Delivery, Missing, ReplyTo
from db.standing import Budget, Period, Scope
from db.states import Status
from tests.db.crowds import at_once, many_connections
from tests.db.rows import (
    LEASE,
    PREFIX,
    URLS,
    admit_one,
    admitted,
    end,
    in_state,
    new_request,
    row,
)
from tests.db.test_budgets import allow, counters, forget_counters, spent

CHANNEL = "300000000000000000"
TOKEN = ReplyTo("100", "an interaction's token")
PRICE = Decimal("3.20")
MINUTE = timedelta(minutes=1)


def timed_out(database: Database, **changes: Any) -> UUID:
    """A request of which its person was told that it took too long."""
    request_id = in_state(
        database, Status.TIMEOUT, claim=uuid4(), **{"channel_id": CHANNEL, **changes}
    )
    with database.begin() as conn:
        deliveries.delivered(conn, request_id, {})
    return request_id


def given_up(database: Database, **changes: Any) -> UUID:
    """One whose call was of unknown outcome, and which gave its money back."""
    request_id = admitted(
        database, claim=uuid4(), **{"channel_id": CHANNEL, "cost_usd": PRICE, **changes}
    )
    with database.begin() as conn:
        requests.give_up_search(conn, request_id, message="Generation timed out after 5 minutes")
        deliveries.delivered(conn, request_id, {})
    return request_id


def find(database: Database, request_id: UUID) -> bool:
    with database.begin() as conn:
        return late_results.found(conn, request_id, PREFIX, URLS)


def record(database: Database, request_id: UUID) -> Any:
    """Its row, if there is one; times as seconds from now."""
    with database.begin() as conn:
        return conn.execute(
            text(
                "SELECT *, extract(epoch FROM due_at - now())::float AS due_in,"
                " extract(epoch FROM look_until - now())::float AS look_for"
                " FROM late_results WHERE request_id = :id"
            ),
            {"id": request_id},
        ).one_or_none()


def change(database: Database, request_id: UUID, changed: str) -> None:
    with database.begin() as conn:
        conn.execute(
            text(f"UPDATE late_results SET {changed} WHERE request_id = :id"),  # noqa: S608
            {"id": request_id},
        )


def take_due(database: Database) -> list[UUID]:
    with database.begin() as conn:
        return late_results.take_due(conn, limit=10, lease=LEASE)


def late_events(database: Database, request_id: UUID) -> list[dict[str, Any]]:
    with database.begin() as conn:
        found = events.of_request(conn, request_id)
    return [each.event_data for each in found if each.event_type == "late_result"]


# --- Looking --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_what_times_out_is_looked_for_and_nothing_else(database: Database, status: Status) -> None:
    request_id = in_state(database, status, claim=uuid4())
    assert take_due(database) == ([request_id] if status is Status.TIMEOUT else [])
    # Whoever took it has the length of the lease.
    assert take_due(database) == []


def test_a_call_of_unknown_outcome_that_was_given_up_is_looked_for(database: Database) -> None:
    request_id = given_up(database)
    assert take_due(database) == [request_id]
    with database.begin() as conn:
        # Where it would lie is for the storage to say: it was never started.
        assert late_results.missing(conn, [request_id]) == [Missing(request_id, None, 1)]


def test_an_end_that_is_rolled_back_has_nothing_looked_for(database: Database) -> None:
    request_id = in_state(database, Status.GENERATING, claim=uuid4())
    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        end(conn, request_id, Status.TIMEOUT)
        _ = 1 / 0
    assert record(database, request_id) is None


@pytest.mark.parametrize(("age", "hours"), [("0", 24), ("10 hours", 14), ("2 days", 1)])
def test_it_is_looked_for_until_a_day_after_it_was_asked_for_an_hour_at_least(
    database: Database, age: str, hours: int
) -> None:
    request_id = in_state(database, Status.GENERATING, claim=uuid4())
    with database.begin() as conn:
        conn.execute(
            text("UPDATE video_requests SET created_at = now() - CAST(:age AS interval)"),
            {"age": age},
        )
        end(conn, request_id, Status.TIMEOUT)
    assert record(database, request_id).look_for == pytest.approx(hours * 3600, abs=60)


def test_what_is_not_there_is_looked_for_again_and_a_last_time_at_the_end(
    database: Database,
) -> None:
    request_id, other = timed_out(database), timed_out(database)
    take_due(database)
    with database.begin() as conn:
        late_results.park(conn, {request_id: MINUTE, other: 2 * MINUTE})
    assert record(database, request_id).due_in == pytest.approx(60, abs=10)
    assert record(database, other).due_in == pytest.approx(120, abs=10)
    change(database, request_id, "look_until = now() + interval '20 s'")
    with database.begin() as conn:
        late_results.park(conn, {request_id: MINUTE})
    left = record(database, request_id)
    assert left.due_in == left.look_for > 0
    # That was the last look.
    change(database, request_id, "look_until = now(), due_at = now()")
    assert take_due(database) == [request_id]
    with database.begin() as conn:
        late_results.park(conn, {request_id: MINUTE})
    assert record(database, request_id) is None
    assert record(database, other) is not None
    assert row(database, request_id).status is Status.TIMEOUT


def test_two_sweepers_look_for_different_videos(database: Database) -> None:
    due = {timed_out(database) for _ in range(4)}
    with database.begin() as one, database.begin() as two:
        first = set(late_results.take_due(one, limit=3, lease=LEASE))
        second = set(late_results.take_due(two, limit=10, lease=LEASE))
    assert (len(first), first | second, first & second) == (3, due, set())


# --- Finding --------------------------------------------------------------------------------


def test_ev1_what_is_found_is_kept_and_the_request_stays_as_it_ended(database: Database) -> None:
    request_id = timed_out(database)
    before = row(database, request_id)
    assert find(database, request_id)
    after = row(database, request_id)
    assert (after.video_urls, after.gcs_prefix, after.is_late) == (URLS, PREFIX, True)
    assert not before.is_late
    for same in ("status", "error_code", "error_message", "started_at", "completed_at"):
        assert getattr(after, same) == getattr(before, same)
    assert (after.duration_ms, after.delivered_at) == (before.duration_ms, before.delivered_at)
    assert late_events(database, request_id) == [{"videos": 1, "billed_after_all": False}]
    kept = record(database, request_id)
    assert (kept.due_at, kept.delivered_at) == (None, None)
    assert kept.found_at is not None
    # Who comes second finds nothing to do, and nobody looks again.
    assert not find(database, request_id)
    with database.begin() as conn:
        late_results.park(conn, {request_id: MINUTE})
        assert late_results.missing(conn, [request_id]) == []
    # All but the times from now.
    assert record(database, request_id)[:-2] == kept[:-2]
    assert len(late_events(database, request_id)) == 1


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.TIMEOUT])
def test_what_has_not_timed_out_is_not_found_late(database: Database, status: Status) -> None:
    request_id = in_state(database, status, claim=uuid4())
    before = row(database, request_id)
    assert not find(database, request_id)
    assert row(database, request_id) == before


def test_the_schema_refuses_a_delivery_of_what_was_not_found(database: Database) -> None:
    request_id = timed_out(database)
    for impossible in ("delivery_due_at = now()", "delivered_at = now()", "due_at = NULL"):
        with pytest.raises(DatabaseError, match="late_results_check"):
            change(database, request_id, impossible)


def test_nobody_is_told_of_a_video_from_the_command_line(database: Database) -> None:
    request_id = timed_out(database, channel_id="cli")
    assert not find(database, request_id)
    assert record(database, request_id).delivery_due_at is None
    assert row(database, request_id).video_urls == URLS


# --- Money ----------------------------------------------------------------------------------


def test_rl7_what_was_given_back_is_taken_again_and_the_place_is_not(database: Database) -> None:
    for period in Period:
        allow(database, 10, Scope.GUILD, "*", period)
        allow(database, 10, period=period)
    request_id = given_up(database)
    assert {*counters(database).values()} == {Decimal(0)}
    for _ in range(2):
        find(database, request_id)
    assert {*counters(database).values()} == {PRICE}
    assert len(counters(database)) == 4
    found = row(database, request_id)
    assert (found.billed, found.counted) == (True, False)
    assert late_events(database, request_id) == [{"videos": 1, "billed_after_all": True}]
    with database.begin() as conn:
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 0


def test_rl7_a_video_that_was_billed_all_the_time_is_billed_once(database: Database) -> None:
    allow(database, 10)
    find(database, timed_out(database, cost_usd=PRICE))
    assert counters(database) == {("all", "", "day"): PRICE}


def test_rl7_a_late_video_passes_its_budget_and_the_next_request_does_not(
    database: Database,
) -> None:
    allow(database, PRICE)
    late = given_up(database)
    in_state(database, Status.COMPLETED, claim=uuid4(), cost_usd=PRICE)
    find(database, late)
    assert counters(database) == {("all", "", "day"): 2 * PRICE}
    with database.autocommit() as conn:
        assert not admit_one(conn, new_request(cost_usd=Decimal("0.01"))).is_allowed


def test_rl7_the_first_who_needs_a_counter_counts_it_once(database: Database) -> None:
    request_id = given_up(database)
    in_state(database, Status.COMPLETED, claim=uuid4(), cost_usd=Decimal(1))
    allow(database, 10)
    find(database, request_id)
    assert counters(database) == {("all", "", "day"): PRICE + 1}


@pytest.mark.parametrize("counter", ["known", "unknown"])
def test_rl7_late_videos_among_admissions_are_exact(database_url: str, counter: str) -> None:
    with many_connections(database_url, 40) as database:
        for period in Period:
            allow(database, 10_000, Scope.GUILD, "*", period)
            allow(database, 10_000, period=period)
        for _ in range(3):
            late = [given_up(database, guild_id=f"guild {number % 3}") for number in range(15)]
            if counter == "unknown":
                forget_counters(database)

            def finding(request_id: UUID) -> Callable[[Connection], object]:
                return lambda _: find(database, request_id)

            def asking(guild: str) -> Callable[[Connection], object]:
                new = new_request(user_id=str(uuid4()), guild_id=guild, cost_usd=Decimal("0.40"))
                return lambda conn: admit_one(conn, new)

            mixed = [finding(each) for each in late]
            at_once(database, mixed + [asking(f"guild {number % 3}") for number in range(15)])
            for (scope, name, _), usd in counters(database).items():
                assert usd == spent(database, name if scope == "guild" else None)
            assert len(counters(database)) == 8


# --- Delivering -----------------------------------------------------------------------------


def claim(database: Database, request_id: UUID, who: UUID) -> Delivery | None:
    with database.begin() as conn:
        return deliveries.claim(conn, request_id, who, lease=LEASE, record=LATE)


def test_one_at_a_time_delivers_what_was_found(database: Database) -> None:
    request_id, one, other = timed_out(database), uuid4(), uuid4()
    assert claim(database, request_id, one) is None
    find(database, request_id)
    first = claim(database, request_id, one)
    assert first is not None
    assert (first.request.id, first.request.video_urls, first.attempts) == (request_id, URLS, 1)
    assert claim(database, request_id, other) is None
    again = claim(database, request_id, one)
    assert again is not None
    assert again.attempts == 2
    with database.begin() as conn:
        deliveries.park(conn, request_id, one, due_in=-MINUTE, told={}, record=LATE)
        # Its lease is a column of its own: the first answer knows nothing of it.
        assert deliveries.take_due(conn, limit=10, lease=LEASE) == []
        assert deliveries.take_due(conn, limit=10, lease=LEASE, record=LATE) == [request_id]
    for is_first in (True, False):
        with database.begin() as conn:
            assert deliveries.delivered(conn, request_id, {}, record=LATE) is is_first
    assert claim(database, request_id, other) is None
    assert record(database, request_id).delivered_at is not None


def test_the_first_answer_comes_first(database: Database) -> None:
    request_id = in_state(database, Status.TIMEOUT, claim=uuid4(), channel_id=CHANNEL)
    find(database, request_id)
    change(database, request_id, "delivery_due_at = now()")
    assert claim(database, request_id, uuid4()) is None
    with database.begin() as conn:
        assert deliveries.take_due(conn, limit=10, lease=LEASE, record=LATE) == []
        deliveries.delivered(conn, request_id, {})
        assert deliveries.take_due(conn, limit=10, lease=LEASE, record=LATE) == [request_id]
    assert claim(database, request_id, uuid4()) is not None


def test_the_token_stays_as_long_as_a_late_video_may_need_it(database: Database) -> None:
    request_id = in_state(database, Status.TIMEOUT, claim=uuid4(), channel_id=CHANNEL)
    with database.begin() as conn:
        replies.keep(conn, request_id, TOKEN)
        deliveries.delivered(conn, request_id, {})
        assert replies.close(conn, request_id)[0] == TOKEN
        late_results.found(conn, request_id, PREFIX, URLS)
    delivery = claim(database, request_id, uuid4())
    assert delivery is not None
    assert delivery.reply_to == TOKEN
    with database.begin() as conn:
        deliveries.delivered(conn, request_id, {}, record=LATE)
        assert replies.close(conn, request_id)[0] is None


# --- Keeping and forgetting -----------------------------------------------------------------


def test_vd3_what_was_deleted_is_kept_billed_and_told_to_nobody(database: Database) -> None:
    allow(database, 10)
    request_id = given_up(database)
    with database.begin() as conn:
        keeping.delete(conn, request_id, by="alice")
    assert not find(database, request_id)
    assert counters(database) == {("all", "", "day"): PRICE}
    # Retention removes it where the row says that it lies.
    assert row(database, request_id).gcs_prefix == PREFIX
    assert record(database, request_id).delivery_due_at is None


def test_re1_of_a_forgotten_user_only_the_money_is_written_and_the_output_goes_at_once(
    database: Database,
) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.ALL, "", Period.DAY, Decimal(10)))
    request_id = given_up(database)
    with database.begin() as conn:
        privacy.forget(conn, "alice")
        forgetting.keep_empty(conn, [request_id])
        # It may still appear, so the row waits for it, and not only for messages.
        assert forgetting.over(conn, [request_id]) == []
        assert forgetting.take(conn, limit=10) == []
    found = row(database, request_id)
    assert found.due_at is not None
    assert found.due_at - found.created_at == timedelta(days=1)
    assert not find(database, request_id)
    found = row(database, request_id)
    assert (found.billed, found.video_urls, found.gcs_prefix) == (True, None, None)
    assert counters(database) == {("all", "", "day"): PRICE}
    assert late_events(database, request_id) == []
    with database.begin() as conn:
        assert forgetting.take(conn, limit=10) == [request_id]
        assert forgetting.over(conn, [request_id]) == [request_id]


def test_re1_it_goes_with_its_request(database: Database) -> None:
    request_id = timed_out(database)
    with database.begin() as conn:
        conn.execute(text("DELETE FROM video_requests"))
    assert record(database, request_id) is None
    assert not find(database, request_id)


def test_an_export_tells_of_late_videos(database: Database) -> None:
    found, sought = timed_out(database), timed_out(database)
    timed_out(database, user_id="bob")
    find(database, found)
    with database.begin() as conn:
        told = privacy.export(conn, "alice").late_results
    assert [each.request_id for each in told] == [found, sought]
    assert [each.found_at is not None for each in told] == [True, False]


# --- Plans ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "index"),
    [
        (
            "SELECT request_id FROM late_results WHERE due_at <= now()"
            " ORDER BY due_at LIMIT 1000 FOR UPDATE SKIP LOCKED",
            "idx_late_results_due",
        ),
        (
            "SELECT request_id FROM late_results WHERE delivery_due_at <= now()"
            " AND delivered_at IS NULL AND NOT EXISTS (SELECT FROM video_requests"
            " WHERE id = request_id AND video_requests.delivery_due_at IS NOT NULL)"
            " ORDER BY late_results.delivery_due_at LIMIT 1000 FOR UPDATE SKIP LOCKED",
            "idx_late_results_delivery_due",
        ),
    ],
)
def test_what_is_asked_every_second_is_answered_by_an_index(
    database: Database, question: str, index: str
) -> None:
    with database.begin() as conn:
        conn.execute(text("SET LOCAL enable_seqscan = off"))
        plan = "\n".join(conn.execute(text(f"EXPLAIN {question}")).scalars())
    assert index in plan, plan
