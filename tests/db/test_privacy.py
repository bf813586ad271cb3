"""What is kept of a user is told whole, and forgotten at their wish: rows, events, limits apart."""

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Table, func, select, update

from bot.plain import as_json
from db import (
    budgets,
    events,
    forgetting,
    history,
    keeping,
    leases,
    limits,
    privacy,
    quotas,
    removal,
    requests,
)
from db.engine import Database
from db.events import EventType
from db.keeping import CANCELLED
from db.standing import Budget, Period, Scope
from db.states import Status
from db.tables import video_events, video_requests
from tests.db.old import now, remnants
from tests.db.rows import LEASE, admit, admitted, end, in_state, row, start
from workers.privacy import Forgotten

BY = "alice"
SECRET = "The house in which Persephone grew up"
HOUR = timedelta(hours=1)
c = video_requests.c


def forget(database: Database, user: str = "alice") -> Forgotten:
    with database.begin() as conn:
        marked = privacy.forget(conn, user)
    with database.begin() as conn:
        # One after the other would be nearer to it; here nobody else is about.
        found = [requests.get(conn, each) for each in marked.open_ids]
        left = [keeping.cancel(conn, each, is_counted=True) for each in found if each]
    return Forgotten(marked.requests, sum(not each.status.has_ended for each in left))


def make_older(database: Database, *ids: UUID, by: timedelta = 2 * HOUR) -> None:
    with database.begin() as conn:
        conn.execute(
            update(video_requests).where(c.id.in_(ids)).values(created_at=c.created_at - by)
        )


def number_of_events(database: Database, *ids: UUID) -> int:
    wanted = select(func.count()).where(video_events.c.request_id.in_(ids))
    with database.begin() as conn:
        return int(conn.execute(wanted).scalar_one())


def all_text(database: Database, table: Table) -> str:
    with database.begin() as conn:
        return "\n".join(str(found) for found in conn.execute(select(table)))


# --- Export ----------------------------------------------------------------------------------


def test_an_export_has_everything_of_the_user_and_nothing_of_others(database: Database) -> None:
    mine = [in_state(database, status, claim=uuid4(), prompt=SECRET) for status in Status]
    archived, deleted, *_ = mine
    others = in_state(database, Status.COMPLETED, claim=uuid4(), user_id="bob")
    gone = in_state(database, Status.COMPLETED, claim=uuid4())
    make_older(database, gone)
    with database.begin() as conn:
        keeping.archive(conn, archived, by=BY)
        keeping.delete(conn, deleted, by=BY)
        events.record(conn, mine[2], EventType.DOWNLOADED, {"ip": "192.0.2.1"})
        assert removal.remove(conn, [gone], before=now(conn) - HOUR) == 1
        quotas.set_limits(conn, "alice", daily=7)
        for whose in ("alice", "bob"):
            budgets.set_limit(conn, Budget(Scope.USER, whose, Period.DAY, Decimal(3)))
        found = privacy.export(conn, "alice")
    assert [request.id for request in found.requests] == mine
    assert {event.request_id for event in found.events} == {*mine}
    assert others not in {*mine}
    assert {"archived", "deleted", "downloaded"} < {event.event_type for event in found.events}
    assert [remnant.guild_id for remnant in found.remnants] == ["guild"]
    assert found.quota is not None
    assert found.quota.daily_limit == 7
    assert found.budgets == [Budget(Scope.USER, "alice", Period.DAY, Decimal(3))]
    told = json.loads(as_json(found))
    assert told["user_id"] == "alice"
    assert {request["prompt"] for request in told["requests"]} == {SECRET}
    assert "192.0.2.1" in json.dumps(told["events"])


def test_an_export_of_nobody_is_empty(database: Database) -> None:
    with database.begin() as conn:
        found = privacy.export(conn, "nobody")
    assert (found.requests, found.events, found.remnants, found.quota) == ([], [], [], None)


# --- Forgetting ------------------------------------------------------------------------------


@pytest.mark.parametrize("status", list(Status))
def test_vd3_what_is_to_be_forgotten_is_empty_at_once_and_gone_from_every_read(
    database: Database, status: Status
) -> None:
    claim = uuid4()
    request_id = in_state(database, status, claim=claim, prompt=SECRET, channel_id=SECRET)
    others = in_state(database, Status.COMPLETED, claim=uuid4(), user_id="bob")
    before = row(database, others)
    if status.has_ended:
        with database.begin() as conn:
            events.record(conn, request_id, EventType.DOWNLOADED, {"ip": "192.0.2.1"})
    assert forget(database) == Forgotten(1, not status.has_ended)
    found = row(database, request_id)
    assert found.status is status
    assert (found.prompt, found.channel_id, found.error_message, found.video_urls) == (
        "",
        "",
        None,
        None,
    )
    assert found.deleted_at is not None
    assert found.forgotten_at is not None
    for table in (video_requests, video_events):
        assert "Persephone" not in all_text(database, table)
        assert "192.0.2.1" not in all_text(database, table)
    assert not number_of_events(database, request_id)
    with database.begin() as conn:
        assert history.by_id(conn, request_id) is None
        assert history.of_user(conn, "alice") == []
        assert events.of_user(conn, "alice") == []
        assert privacy.export(conn, "alice").requests == []
    assert row(database, others) == before


def test_vd3_what_nobody_has_begun_to_start_ends_unpaid(database: Database) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.ALL, "", Period.DAY, Decimal(100)))
    ids = [admitted(database, cost_usd=Decimal("3.20")) for _ in range(2)]
    claimed = admitted(database, claim=uuid4(), cost_usd=Decimal("3.20"))
    assert forget(database) == Forgotten(3, 1)
    for request_id in ids:
        found = row(database, request_id)
        assert (found.status, found.error_code) == (Status.FAILED, CANCELLED)
        assert not found.billed
    assert row(database, claimed).status is Status.PENDING
    with database.begin() as conn:
        [(_, spent)] = budgets.of_all(conn)
    assert spent == Decimal("3.20")


def test_what_is_being_made_goes_on_unseen_and_goes_when_it_has_ended(database: Database) -> None:
    claim = uuid4()
    request_id = in_state(database, Status.PENDING, claim=claim)
    due_at = row(database, request_id).due_at
    forget(database)
    # Its followers have it as before.
    assert row(database, request_id).due_at == due_at
    with database.begin() as conn:
        assert forgetting.take(conn, limit=10) == []
        start(conn, request_id, claim)
        assert forgetting.leaving(conn, [request_id]) == []
        assert removal.remove(conn, [request_id], before=now(conn) + HOUR) == 0
    with database.begin() as conn:
        end(conn, request_id, Status.COMPLETED)
    with database.begin() as conn:
        assert forgetting.take(conn, limit=10) == [request_id]
        assert forgetting.take(conn, limit=10) == []


def test_a_claim_that_is_given_back_after_the_wish_is_not_taken_again(database: Database) -> None:
    claim = uuid4()
    request_id = admitted(database, claim=claim)
    forget(database)
    with database.autocommit() as conn:
        leases.release(conn, request_id, claim, due_in=timedelta(0))
        assert leases.claim(conn, request_id, uuid4(), lease=LEASE) is None


def test_a_forgotten_request_stays_as_long_as_its_message_may_come_again(
    database: Database,
) -> None:
    """Without its row the message would make it anew, and pay for it anew."""
    young, old = (in_state(database, Status.COMPLETED, claim=uuid4()) for _ in range(2))
    make_older(database, old)
    forget(database)
    with database.begin() as conn:
        assert {*forgetting.ended(conn, "alice")} == {young, old}
        assert removal.remove(conn, [young, old], before=None) == 1
        forgetting.keep_empty(conn, [young, old])
    found = row(database, young)
    assert (found.gcs_prefix, found.operation_name) == (None, None)
    assert found.due_at == found.created_at + removal.MESSAGES_LAST
    make_older(database, young)
    with database.begin() as conn:
        conn.execute(update(video_requests).values(due_at=func.now()))
    with database.begin() as conn:
        assert forgetting.take(conn, limit=10) == [young]
        assert removal.remove(conn, [young], before=None) == 1
        assert len(remnants(conn)) == 2


def test_rl1_being_forgotten_gives_no_place_back_and_lifts_no_ban(database: Database) -> None:
    ids = [in_state(database, Status.COMPLETED, claim=uuid4()) for _ in range(5)]
    make_older(database, *ids)
    with database.begin() as conn:
        quotas.set_limits(conn, "alice", monthly=5)
        before = limits.get_rate_limit_info(conn, "alice", 5)
    forget(database)
    with database.begin() as conn:
        assert removal.remove(conn, ids, before=None) == 5
        assert limits.get_rate_limit_info(conn, "alice", 5) == before
        assert quotas.get(conn, "alice") is not None
    assert not admit(database, limit=5).is_allowed
    refused = admit(database, limit=100)
    assert not refused.is_allowed


def test_being_forgotten_twice_does_no_harm(database: Database) -> None:
    request_id = in_state(database, Status.COMPLETED, claim=uuid4())
    assert forget(database) == Forgotten(1, 0)
    before = row(database, request_id)
    assert forget(database) == Forgotten(0, 0)
    assert row(database, request_id) == before
    assert forget(database, "nobody") == Forgotten(0, 0)
