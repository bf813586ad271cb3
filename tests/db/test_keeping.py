"""VD1, VD3: what is archived, deleted or made from another, and what still counts of it."""

import pickle
from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db import budgets, events, history, keeping, leases, limits, requests, statistics
from db.engine import Database
from db.errors import LaterRelease, RequestNotFound
from db.events import EventType
from db.history import EVERYTHING, Wanted
from db.records import Request
from db.standing import Budget, Outcome, Period, Scope
from db.states import Status
from tests.db.rows import LEASE, admit, admitted, end, in_state, moves_of, new_request, row, start
from tests.workers.waiting import until

MINE = UUID(int=1)
ARCHIVED = Wanted(is_archived=True)

Deed = Callable[..., Request]


def do(database: Database, deed: Deed, request_id: UUID) -> Request:
    with database.begin() as conn:
        return deed(conn, request_id, by="alice")


def told(database: Database, request_id: UUID) -> list[str]:
    with database.begin() as conn:
        return [event.event_type for event in events.of_request(conn, request_id)]


def listed(database: Database, wanted: Wanted = EVERYTHING) -> list[UUID]:
    with database.begin() as conn:
        of_user = [each.id for each in history.of_user(conn, "alice", wanted)]
        of_guild = [each.id for each in history.of_guild(conn, "guild", wanted)]
    assert of_user == of_guild
    return of_user


def used(database: Database) -> int:
    with database.begin() as conn:
        return limits.get_rate_limit_info(conn, "alice", 5).used


def test_vd1_what_is_archived_is_on_a_list_of_its_own(database: Database) -> None:
    kept = in_state(database, Status.COMPLETED, claim=uuid4())
    put_away = in_state(database, Status.COMPLETED, claim=uuid4())
    assert do(database, keeping.archive, put_away).archived_at
    assert (listed(database), listed(database, ARCHIVED)) == ([kept], [put_away])
    with database.begin() as conn:
        assert history.by_id(conn, put_away)
        assert statistics.of_user(conn, "alice").total == 2
    assert do(database, keeping.restore, put_away).archived_at is None
    assert listed(database) == [put_away, kept]
    assert told(database, put_away)[-2:] == [EventType.ARCHIVED, EventType.RESTORED]


@pytest.mark.parametrize("deed", [keeping.archive, keeping.delete])
def test_done_twice_is_done_once(database: Database, deed: Deed) -> None:
    request_id = in_state(database, Status.COMPLETED, claim=MINE)
    first, again = (do(database, deed, request_id) for _ in range(2))
    assert first == again
    assert len(told(database, request_id)) == 4
    assert do(database, keeping.delete, request_id).deleted_at


@pytest.mark.parametrize("deed", [keeping.archive, keeping.restore, keeping.delete])
def test_what_is_not_there_can_be_neither_archived_nor_deleted(
    database: Database, deed: Deed
) -> None:
    with pytest.raises(RequestNotFound):
        do(database, deed, uuid4())


def test_what_is_deleted_can_not_be_archived(database: Database) -> None:
    request_id = in_state(database, Status.COMPLETED, claim=MINE)
    do(database, keeping.delete, request_id)
    for deed in (keeping.archive, keeping.restore):
        with pytest.raises(RequestNotFound):
            do(database, deed, request_id)


@pytest.mark.parametrize("is_archived", [False, True])
def test_vd3_what_is_deleted_is_gone_from_every_read(database: Database, is_archived: bool) -> None:
    request_id = in_state(database, Status.COMPLETED, claim=MINE)
    if is_archived:
        do(database, keeping.archive, request_id)
    do(database, keeping.delete, request_id)
    assert listed(database) == listed(database, ARCHIVED) == []
    with database.begin() as conn:
        assert history.by_id(conn, request_id) is None
        assert statistics.of_user(conn, "alice").total == 0
        assert statistics.of_guild(conn, "guild").total == 0
        assert statistics.of_guild(conn, "guild").top_prompts == []
        assert events.of_user(conn, "alice") == []
        # QH3 says so; and the figures over all name nobody.
        assert statistics.of_all(conn).total == 1
    [event] = [each for each in _events(database, request_id) if each[0] == EventType.DELETED]
    assert event[1] == {"by": "alice"}


def _events(database: Database, request_id: UUID) -> list[tuple[str, dict[str, object]]]:
    with database.begin() as conn:
        return [(each.event_type, each.event_data) for each in events.of_request(conn, request_id)]


def test_vd3_what_is_deleted_still_counts_for_limit_and_budget(database: Database) -> None:
    with database.begin() as conn:
        budgets.set_limit(conn, Budget(Scope.GUILD, "guild", Period.DAY, Decimal("1.50")))
    request_id = in_state(database, Status.COMPLETED, claim=MINE, cost_usd=Decimal("1.00"))
    do(database, keeping.delete, request_id)
    assert used(database) == 1
    assert admit(database, limit=1).outcome is Outcome.REFUSED
    assert admit(database, user_id="bob", cost_usd=Decimal("0.60")).outcome is Outcome.REFUSED
    assert admit(database, user_id="bob", cost_usd=Decimal("0.50")).is_allowed


@pytest.mark.parametrize("is_counted", [True, False])
def test_vd3_deleted_while_it_waits_it_ends_without_being_paid_for(
    database: Database, is_counted: bool
) -> None:
    request_id = admitted(database, cost_usd=Decimal("1.00"))
    with database.begin() as conn:
        request = keeping.delete(conn, request_id, by="alice", is_counted=is_counted)
    assert (request.status, request.error_code) == (Status.FAILED, keeping.CANCELLED)
    assert moves_of(database, request_id) == [("pending", "generating"), ("generating", "failed")]
    found = row(database, request_id)
    assert (found.billed, found.counted) == (False, is_counted)
    assert used(database) == is_counted
    with database.begin() as conn:
        assert leases.claim(conn, request_id, MINE, lease=LEASE) is None
        assert leases.take_due(conn, limit=10, lease=LEASE) == []


@pytest.mark.parametrize("ends_as", [Status.COMPLETED, Status.FAILED, Status.TIMEOUT])
def test_vd3_deleted_while_it_is_made_it_goes_on_to_its_end_unseen(
    database: Database, ends_as: Status
) -> None:
    request_id = admitted(database, claim=MINE)
    assert do(database, keeping.delete, request_id).status is Status.PENDING
    with database.begin() as conn:
        start(conn, request_id, MINE)
        end(conn, request_id, ends_as)
    assert row(database, request_id).status is ends_as
    assert listed(database) == []


def test_vd3_whose_call_was_not_taken_is_not_started_again(database: Database) -> None:
    request_id = admitted(database, claim=MINE)
    do(database, keeping.delete, request_id)
    with database.begin() as conn:
        leases.release(conn, request_id, MINE, due_in=LEASE)
        assert leases.claim(conn, request_id, uuid4(), lease=LEASE) is None
        request = requests.get(conn, request_id)
        assert request
        assert keeping.cancel(conn, request, is_counted=True).error_code == keeping.CANCELLED


def test_vd3_deleting_and_claiming_at_once_either_cancels_or_is_made(database: Database) -> None:
    """The one who holds the row first wins, and the other sees it."""
    request_id = admitted(database)
    claimed: list[Request | None] = []

    def claim() -> None:
        with database.autocommit() as conn:
            claimed.append(leases.claim(conn, request_id, MINE, lease=LEASE))

    with database.begin() as conn:
        keeping.delete(conn, request_id, by="alice")
        other = Thread(target=claim)
        other.start()
        _await_a_waiting_lock(database)
    other.join(10)
    assert claimed == [None]
    assert row(database, request_id).error_code == keeping.CANCELLED


def _await_a_waiting_lock(database: Database) -> None:
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def is_waiting() -> bool:
        with database.autocommit() as conn:
            return bool(conn.execute(waiting).scalar_one())

    until(is_waiting, what="the claim waits for the row")


def test_vd1_a_remix_names_its_source(database: Database) -> None:
    source = row(database, in_state(database, Status.COMPLETED, claim=MINE, duration_seconds=8))
    new = source.remixed(
        uuid4(), "A lighthouse at dawn", user_id="bob", guild_id="dm", channel_id="dm"
    )
    assert (new.duration_seconds, new.source_id) == (8, source.id)
    assert admit(database, **{name: getattr(new, name) for name in new.__slots__}).is_allowed
    assert row(database, new.id).source_id == source.id
    assert _events(database, new.id)[1:] == [(EventType.REMIXED, {"source_id": str(source.id)})]


def test_a_new_request_comes_out_of_its_message_as_it_went_in() -> None:
    new = new_request(cost_usd=Decimal("0.4000"), source_id=uuid4())
    assert type(new).from_row(new.as_row()) == new
    # A message of the release before.
    row = new.as_row()
    del row["source_id"]
    assert type(new).from_row(row).source_id is None


def test_what_only_a_later_release_understands_is_not_taken_for_less() -> None:
    row = new_request().as_row()
    assert type(new_request()).from_row(row | {"style": None}).as_row() == row
    with pytest.raises(LaterRelease, match="with lens, style: a process of that release") as told:
        type(new_request()).from_row(row | {"style": "oil", "lens": 35})
    # Celery takes it from one process to another.
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value)  # noqa: S301 -- ours
