"""DG3: what happened without Postgres is written through the guards, and counted without asking."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from db import (
    backfill,
    budgets,
    deliveries,
    events,
    forgetting,
    history,
    keeping,
    late_results,
    leases,
    limits,
    privacy,
    removal,
    replies,
    requests,
)
from db.deliveries import LATE
from db.engine import Database
from db.meanwhile import Meanwhile
from db.records import ReplyTo, Request
from db.standing import Budget, Period, Scope
from db.states import Status
from tests.db.rows import (
    LEASE,
    PREFIX,
    URLS,
    admit_one,
    admitted,
    in_state,
    new_request,
    row,
    start,
)

BEGIN = datetime.now(UTC) - timedelta(hours=2)
STARTED, COMPLETED, DELIVERED = (BEGIN + timedelta(seconds=each) for each in (3, 70, 71))


def seen(**changes: Any) -> Meanwhile:
    """A request of two hours ago that was made and delivered."""
    facts: dict[str, Any] = {
        "new": new_request(channel_id="123"),
        "asked_at": BEGIN,
        "status": Status.COMPLETED,
        "claim": uuid4(),
        "claimed_at": BEGIN + timedelta(seconds=2),
        "started_at": STARTED,
        "operation_name": "operations/1",
        "gcs_prefix": PREFIX,
        "completed_at": COMPLETED,
        "video_urls": URLS,
        "delivered_at": DELIVERED,
        "delivery": {"how": "edit"},
    }
    return Meanwhile(**facts | changes)


def write(database: Database, it: Meanwhile, reply_to: ReplyTo | None = None) -> Request | None:
    with database.begin() as conn:
        return backfill.write(conn, it, reply_to, lease=LEASE)


def told(database: Database, request_id: UUID) -> list[tuple[str, datetime]]:
    with database.begin() as conn:
        return [(each.event_type, each.created_at) for each in events.of_request(conn, request_id)]


def kinds(database: Database, request_id: UUID) -> list[str]:
    return [kind for kind, _ in told(database, request_id)]


def test_the_row_and_its_events_have_the_times_of_the_outage(database: Database) -> None:
    it = seen()
    written = write(database, it)
    assert written == row(database, it.new.id)
    assert written is not None
    assert (written.created_at, written.started_at, written.completed_at) == (
        BEGIN,
        STARTED,
        COMPLETED,
    )
    assert (written.duration_ms, written.delivered_at) == (67_000, DELIVERED)
    assert (written.operation_name, written.gcs_prefix) == ("operations/1", PREFIX)
    assert written.delivery_due_at is None
    assert told(database, it.new.id) == [
        ("created", BEGIN),
        ("status_changed", STARTED),
        ("status_changed", COMPLETED),
        ("delivered", DELIVERED),
    ]
    # What is said of it meanwhile is what is written.
    said = it.as_request()
    assert (said.duration_ms, said.video_urls) == (written.duration_ms, written.video_urls)


def test_writing_it_again_changes_nothing(database: Database) -> None:
    it = seen()
    first = write(database, it)
    before = told(database, it.new.id)
    assert write(database, it) == first
    assert told(database, it.new.id) == before


def test_it_counts_for_limits_and_budgets_that_it_did_not_ask(database: Database) -> None:
    everybody = Budget(Scope.ALL, "", Period.DAY, Decimal("1.00"))
    with database.begin() as conn:
        budgets.set_limit(conn, everybody)
    now = datetime.now(UTC)
    for _ in range(7):
        new = new_request(cost_usd=Decimal("0.40"))
        write(database, Meanwhile(new, now))
    with database.begin() as conn:
        assert limits.get_rate_limit_info(conn, "alice", 100).used == 7
        [(_, spent)] = budgets.of_all(conn)
    assert spent == Decimal("2.80")


def test_what_was_not_billed_gives_its_money_back(database: Database) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.ALL, "", Period.DAY, Decimal("1.00")))
    now = datetime.now(UTC)
    it = seen(
        new=new_request(cost_usd=Decimal("0.40")),
        asked_at=now,
        started_at=now,
        completed_at=now,
        status=Status.FAILED,
        video_urls=None,
        error_code="refused",
        error_message="No.",
        billed=False,
        counted=False,
        delivered_at=None,
    )
    written = write(database, it)
    assert written is not None
    assert (written.billed, written.counted, written.error_message) == (False, False, "No.")
    with database.begin() as conn:
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 0
        [(_, spent)] = budgets.of_all(conn)
    assert spent == 0
    assert kinds(database, it.new.id) == ["created", "status_changed", "status_changed", "failed"]


def test_a_row_that_is_there_is_the_request(database: Database) -> None:
    """Whoever called meanwhile had the mark, so the row's claim came too late or was its own."""
    for claim in (None, uuid4()):
        new = new_request()
        admitted(database, claim=claim, id=new.id)
        created = row(database, new.id).created_at
        written = write(database, seen(new=new, delivered_at=None))
        assert written is not None
        assert (written.status, written.created_at) == (Status.COMPLETED, created)
        assert written.claim == claim
        assert kinds(database, new.id).count("created") == 1


def test_what_has_ended_stays_as_it_is_and_the_contradiction_is_an_event(
    database: Database,
) -> None:
    claim, new = uuid4(), new_request()
    admitted(database, claim=claim, id=new.id)
    with database.begin() as conn:
        start(conn, new.id, claim)
        requests.time_out(conn, new.id, message="Too late")
    before = row(database, new.id)
    write(database, seen(new=new, operation_name="operations/2", delivered_at=None))
    after = row(database, new.id)
    assert after == before
    assert kinds(database, new.id)[-2:] == ["accepted_late", "contradicted"]


def test_rl7_what_was_deleted_while_somebody_called_without_postgres_is_paid_for(
    database: Database,
) -> None:
    new = new_request()
    admitted(database, id=new.id)
    with database.begin() as conn:
        keeping.delete(conn, new.id, by="alice")
    assert not row(database, new.id).billed
    going_on = {"status": Status.GENERATING, "completed_at": None, "video_urls": None}
    for _ in range(2):
        write(database, seen(new=new, delivered_at=None, **going_on))
    after = row(database, new.id)
    assert (after.error_code, after.billed) == (keeping.CANCELLED, True)


@pytest.mark.parametrize("is_found_before", [True, False])
def test_ev1_whoever_was_given_the_video_though_it_timed_out_gets_no_apology(
    database: Database, *, is_found_before: bool
) -> None:
    new = new_request(channel_id="123")
    request_id = in_state(database, Status.TIMEOUT, claim=uuid4(), id=new.id, channel_id="123")
    if is_found_before:
        with database.begin() as conn:
            late_results.found(conn, request_id, PREFIX, URLS)
    written = write(database, seen(new=new))
    assert written is not None
    assert (written.status, written.video_urls) == (Status.TIMEOUT, URLS)
    happened = kinds(database, request_id)
    assert [happened.count(each) for each in ("contradicted", "delivered", "late_result")] == [
        1
    ] * 3
    with database.begin() as conn:
        assert deliveries.claim(conn, request_id, uuid4(), lease=LEASE, record=LATE) is None
        assert late_results.missing(conn, [request_id]) == []


def test_ev1_that_a_late_video_was_sent_is_written_with_its_time(database: Database) -> None:
    request_id = in_state(database, Status.TIMEOUT, claim=uuid4(), channel_id="123")
    with database.begin() as conn:
        first = datetime.now(UTC)
        deliveries.delivered(conn, request_id, {"how": "edit"}, at=first)
        late_results.found(conn, request_id, PREFIX, URLS)
        delivery = deliveries.claim(conn, request_id, uuid4(), lease=LEASE, record=LATE)
    assert delivery is not None
    sent = datetime.now(UTC)
    known: dict[str, Any] = {"delivered_at": sent, "delivery": {"late": True}, "is_late": True}
    it = Meanwhile.of(delivery.request, **known)
    for _ in range(2):
        written = write(database, it)
        assert written is not None
        assert written.delivered_at == first
    deliveries_told = [each for each in told(database, request_id) if each[0] == "delivered"]
    assert deliveries_told == [("delivered", first), ("delivered", sent)]
    with database.begin() as conn:
        assert deliveries.claim(conn, request_id, uuid4(), lease=LEASE, record=LATE) is None


def test_no_answer_is_there_before_the_end_that_another_wrote(database: Database) -> None:
    claim, new = uuid4(), new_request(channel_id="123")
    admitted(database, claim=claim, id=new.id)
    with database.begin() as conn:
        start(conn, new.id, claim)
        ended = requests.complete(conn, new.id, URLS)
    written = write(database, seen(new=new))
    assert written is not None
    assert written.delivered_at == written.completed_at == ended.completed_at
    assert told(database, new.id)[-1] == ("delivered", ended.completed_at)


def test_what_still_goes_on_is_due_after_the_lease(database: Database) -> None:
    reply_to = ReplyTo("1", "token")
    it = seen(status=Status.GENERATING, completed_at=None, video_urls=None, delivered_at=None)
    written = write(database, it, reply_to)
    assert written is not None
    assert written.due_at is not None
    assert written.due_at > datetime.now(UTC)
    with database.begin() as conn:
        [(taken, age)] = leases.take_up(conn, [it.new.id], lease=LEASE)
    assert taken.operation_name == "operations/1"
    assert age > timedelta(hours=1)


def test_an_answer_that_was_not_given_is_due(database: Database) -> None:
    written = write(database, seen(delivered_at=None))
    assert written is not None
    assert written.delivery_due_at is not None


def test_a_claim_that_no_call_was_made_with_is_given_back(database: Database) -> None:
    claim, new = uuid4(), new_request()
    admitted(database, claim=claim, id=new.id)
    it = Meanwhile(new, BEGIN, has_row=True, unused_claim=claim)
    written = write(database, it)
    assert written is not None
    assert (written.status, written.claim) == (Status.PENDING, None)
    # Another's stays.
    with database.autocommit() as conn:
        leases.claim(conn, new.id, uuid4(), lease=LEASE)
    written = write(database, it)
    assert written is not None
    assert written.claim is not None


def test_a_row_that_was_forgotten_is_not_made_again(database: Database) -> None:
    it = seen(has_row=True)
    assert write(database, it) is None
    with database.begin() as conn:
        assert requests.get(conn, it.new.id) is None


def test_the_next_one_is_refused_by_what_was_written(database: Database) -> None:
    for _ in range(5):
        write(database, Meanwhile(new_request(), datetime.now(UTC)))
    with database.autocommit() as conn:
        assert not admit_one(conn, new_request(), limit=5).is_allowed


def test_a_remix_names_its_source(database: Database) -> None:
    source = uuid4()
    it = replace(seen(), new=new_request(source_id=source))
    written = write(database, it)
    assert written is not None
    assert written.source_id == source
    assert kinds(database, it.new.id)[:2] == ["created", "remixed"]


def forget(database: Database, at: datetime, user: str = "alice") -> None:
    with database.begin() as conn:
        privacy.forget(conn, user, at=at)


def test_of_somebody_who_was_forgotten_since_only_what_counts_is_written(
    database: Database,
) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.ALL, "", Period.DAY, Decimal("1.00")))
    now = datetime.now(UTC)
    it = seen(
        new=new_request(channel_id="123", cost_usd=Decimal("0.40"), source_id=uuid4()),
        asked_at=now - timedelta(seconds=5),
        started_at=now,
        completed_at=now,
        delivered_at=now,
    )
    forget(database, now)
    for _ in range(2):
        written = write(database, it, ReplyTo("1", "token"))
        assert written is not None
        assert (written.prompt, written.channel_id, written.source_id) == ("", "", None)
        assert (written.video_urls, written.error_message, written.delivered_at) == (None,) * 3
        assert (written.status, written.counted, written.billed) == (Status.COMPLETED, True, True)
        assert kinds(database, it.new.id) == ["status_changed"] * 2
    with database.begin() as conn:
        assert not replies.of(conn, [it.new.id])
        assert not history.of_user(conn, "alice")
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 1
        [(_, spent)] = budgets.of_all(conn)
        assert spent == Decimal("0.40")
        # Its video is removed, and the row goes, as of any request that was forgotten.
        assert forgetting.take(conn, limit=10) == [it.new.id]


def test_an_end_that_is_seen_after_its_user_was_forgotten_brings_nothing_back(
    database: Database,
) -> None:
    claim, new = uuid4(), new_request(channel_id="123")
    admitted(database, claim=claim, id=new.id)
    with database.begin() as conn:
        start(conn, new.id, claim)
    forget(database, datetime.now(UTC))
    written = write(database, seen(new=new, has_row=True, operation_name="operations/1"))
    assert written is not None
    assert (written.status, written.prompt) == (Status.COMPLETED, "")
    assert (written.video_urls, written.delivered_at) == (None, None)


def test_what_a_forgotten_user_asks_for_later_is_a_request_as_any_other(
    database: Database,
) -> None:
    forget(database, datetime.now(UTC) - timedelta(hours=3))
    it = seen()
    written = write(database, it)
    assert written is not None
    assert (written.prompt, written.forgotten_at) == (it.new.prompt, None)
    assert kinds(database, it.new.id)[-1] == "delivered"


def test_what_is_older_than_what_is_kept_is_not_written_anew(database: Database) -> None:
    it = seen()
    with database.begin() as conn:
        written = backfill.write(conn, it, None, lease=LEASE, keep=timedelta(hours=1))
    assert written is not None
    assert (written.prompt, written.video_urls) == ("", None)
    assert written.forgotten_at is not None
    with database.begin() as conn:
        # The row goes at once.
        assert removal.remove(conn, [it.new.id], before=None) == 1
        assert limits.get_rate_limit_info(conn, "alice", 5).used == 1


def forget_all(conn: Connection) -> object:
    return privacy.forget(conn, "alice", at=datetime.now(UTC))


def write_one(conn: Connection) -> object:
    return backfill.write(conn, seen(), None, lease=LEASE)


@pytest.mark.parametrize("work", [forget_all, write_one])
def test_nobody_is_forgotten_while_something_of_theirs_is_written(
    database: Database,
    outsider: psycopg2.extensions.connection,
    work: Callable[[Connection], object],
) -> None:
    """Whoever writes first is seen by the other."""
    with outsider.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended('admit alice', 0))")
    with database.begin() as conn:
        conn.execute(text("SET LOCAL lock_timeout = '200ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            work(conn)
        conn.rollback()
