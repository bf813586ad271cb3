"""Claims, due times and the steps that end a request before it was started (RT7, VD2)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Connection, text
from structlog.testing import capture_logs

from db import events, history, leases, requests
from db.engine import Database
from db.errors import ClaimLost, InvalidStatusTransition, RequestNotFound
from db.records import Request
from db.states import Status
from tests.db.rows import (
    LEASE,
    PREFIX,
    URLS,
    admit,
    admitted,
    in_state,
    make_due,
    moves_of,
    row,
    start,
)

MINE, ANOTHERS = UUID(int=1), UUID(int=2)


def taken(conn: Connection, *, limit: int = 10, lease: timedelta = LEASE) -> set[UUID]:
    return {due.id for due in leases.take_due(conn, limit=limit, lease=lease)}


def now(conn: Connection) -> datetime:
    moment: datetime = conn.execute(text("SELECT now()")).scalar_one()
    return moment


def test_a_claim_is_had_once(database: Database) -> None:
    request_id = admitted(database)
    with database.begin() as conn:
        claimed = leases.claim(conn, request_id, MINE, lease=LEASE)
        assert claimed
        assert (claimed.claim, claimed.claimed_at, claimed.attempts) == (MINE, now(conn), 1)
        assert claimed.due_at == now(conn) + LEASE
    with database.begin() as conn:
        assert leases.claim(conn, request_id, ANOTHERS, lease=LEASE) is None
        # Nor again by its owner: a task that is delivered twice calls once.
        assert leases.claim(conn, request_id, MINE, lease=LEASE) is None
        assert leases.claim(conn, uuid4(), MINE, lease=LEASE) is None
    assert row(database, request_id) == claimed


def test_of_many_who_claim_at_once_one_gets_it(database: Database) -> None:
    request_id = admitted(database)
    barrier = Barrier(10)

    def claim(_: int) -> Request | None:
        with database.begin() as conn:
            barrier.wait(30)
            return leases.claim(conn, request_id, uuid4(), lease=LEASE)

    with ThreadPoolExecutor(10) as threads:
        winners = [found for found in threads.map(claim, range(10)) if found]
    assert [winner.claim for winner in winners] == [row(database, request_id).claim]


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_what_has_started_is_not_to_be_claimed(database: Database, status: Status) -> None:
    request_id = in_state(database, status, claim=MINE)
    with database.begin() as conn:
        assert leases.claim(conn, request_id, ANOTHERS, lease=LEASE) is None


@pytest.mark.parametrize("owner", [None, ANOTHERS], ids=["nobody's", "another's"])
def test_only_the_owner_of_the_claim_starts_a_request(
    database: Database, owner: UUID | None
) -> None:
    request_id = admitted(database, claim=owner)
    before = row(database, request_id)
    with capture_logs() as logs, pytest.raises(ClaimLost), database.begin() as conn:
        start(conn, request_id, MINE)
    assert row(database, request_id) == before
    assert moves_of(database, request_id) == []
    assert [(log["event"], log["log_level"]) for log in logs] == [("claim_lost", "warning")]


def test_a_released_claim_may_be_had_by_another(database: Database) -> None:
    request_id = admitted(database, claim=MINE)
    with database.begin() as conn:
        leases.release(conn, request_id, ANOTHERS, due_in=LEASE)
    assert row(database, request_id).claim == MINE
    with database.begin() as conn:
        leases.release(conn, request_id, MINE, due_in=timedelta(seconds=7))
        due_at = now(conn) + timedelta(seconds=7)
    released = row(database, request_id)
    assert (released.claim, released.claimed_at, released.due_at) == (None, None, due_at)
    with database.begin() as conn:
        assert leases.claim(conn, request_id, ANOTHERS, lease=LEASE)
        with pytest.raises(ClaimLost):
            start(conn, request_id, MINE)


def test_a_claim_is_kept_once_the_request_has_started(database: Database) -> None:
    request_id = in_state(database, Status.GENERATING, claim=MINE)
    with database.begin() as conn:
        leases.release(conn, request_id, MINE, due_in=LEASE)
    assert row(database, request_id).claim == MINE


def test_an_output_that_was_found_starts_the_request_at_its_claim(database: Database) -> None:
    request_id = admitted(database, claim=MINE)
    claimed_at = row(database, request_id).claimed_at
    with database.begin() as conn:
        adopted = requests.adopt(conn, request_id, gcs_prefix=PREFIX)
    assert (adopted.status, adopted.started_at) == (Status.GENERATING, claimed_at)
    assert (adopted.operation_name, adopted.gcs_prefix) == (None, PREFIX)
    with database.begin() as conn, pytest.raises(ClaimLost):
        requests.adopt(conn, admitted(database), gcs_prefix=PREFIX)


def test_the_sweeper_takes_what_is_due_once_for_the_length_of_its_lease(
    database: Database,
) -> None:
    waiting = admitted(database, user_id="waiting")
    due = [admitted(database), in_state(database, Status.GENERATING, claim=MINE)]
    ended = in_state(database, Status.COMPLETED, claim=MINE)
    make_due(database, *due, ended)
    with database.begin() as conn:
        found = leases.take_due(conn, limit=10, lease=LEASE)
        until = now(conn) + LEASE
    assert {(each.id, each.status, each.is_claimed, each.attempts) for each in found} == {
        (due[0], Status.PENDING, False, 0),
        (due[1], Status.GENERATING, True, 0),
    }
    assert {row(database, request_id).due_at for request_id in due} == {until}
    with database.begin() as conn:
        assert taken(conn) == set()
    assert row(database, waiting).attempts == 0


def test_the_longest_due_are_taken_first(database: Database) -> None:
    due = [admitted(database) for _ in range(5)]
    make_due(database, *due)
    with database.begin() as conn:
        # The index would have them in this order by itself.
        conn.execute(text("SET LOCAL enable_indexscan = off"))
        conn.execute(text("SET LOCAL enable_bitmapscan = off"))
        assert taken(conn, limit=2) == set(due[:2])
        assert taken(conn, limit=2) == set(due[2:4])
        assert taken(conn, limit=2) == {due[4]}


def test_two_sweeps_at_once_take_different_requests_and_do_not_wait(database: Database) -> None:
    due = [admitted(database) for _ in range(6)]
    make_due(database, *due)
    with database.begin() as one, database.begin() as other:
        other.execute(text("SET LOCAL lock_timeout = '200ms'"))
        assert taken(one, limit=3) == set(due[:3])
        assert taken(other, limit=10) == set(due[3:])


def test_a_sweep_that_dies_leaves_its_requests_due(database: Database) -> None:
    due = admitted(database)
    make_due(database, due)
    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        assert taken(conn) == {due}
        _ = 1 / 0
    with database.begin() as conn:
        assert taken(conn) == {due}


def test_taking_up_counts_attempts_until_there_is_progress(database: Database) -> None:
    waiting = admitted(database)
    claimed = admitted(database)
    with database.begin() as conn:
        leases.claim(conn, claimed, MINE, lease=LEASE)
    generating = in_state(database, Status.GENERATING, claim=MINE)
    ended = in_state(database, Status.FAILED, claim=MINE)
    for attempt in (1, 2, 3):
        with database.begin() as conn:
            found = leases.take_up(conn, [waiting, claimed, generating, ended], lease=LEASE)
            assert {(request.id, request.attempts) for request, _ in found} == {
                # The claim was the first attempt.
                (claimed, attempt + 1),
                (generating, attempt),
            }
            assert {request.due_at for request, _ in found} == {now(conn) + LEASE}
    delays = {
        claimed: timedelta(seconds=3),
        waiting: LEASE,
        generating: timedelta(seconds=9),
        ended: LEASE,
    }
    with database.begin() as conn:
        leases.park(conn, delays, is_progress=False)
        moment = now(conn)
    assert row(database, claimed).attempts == 4
    assert row(database, claimed).due_at == moment + timedelta(seconds=3)
    # Nobody follows what waits for its start.
    assert row(database, waiting).attempts == 0
    assert row(database, generating).due_at == moment + timedelta(seconds=9)
    assert row(database, ended).due_at is None
    with database.begin() as conn:
        leases.park(conn, delays, is_progress=True)
    assert (row(database, claimed).attempts, row(database, generating).attempts) == (0, 0)


def test_parking_nothing_is_nothing(database: Database) -> None:
    with database.begin() as conn:
        leases.park(conn, {}, is_progress=True)
        assert leases.take_up(conn, [], lease=LEASE) == []


def test_taking_up_tells_the_time_since_start_or_claim(database: Database) -> None:
    untouched = admitted(database)
    claimed = admitted(database, claim=MINE)
    started = in_state(database, Status.GENERATING, claim=MINE)
    with database.begin() as conn:
        conn.execute(
            text(
                "UPDATE video_requests SET claimed_at = claimed_at - interval '100 s',"
                " started_at = started_at - interval '50 s'"
                " WHERE claim IS NOT NULL"
            )
        )
    with database.begin() as conn:
        found = leases.take_up(conn, [untouched, claimed, started], lease=LEASE)
        ages = {request.id: age.total_seconds() for request, age in found}
    assert untouched not in ages
    assert 100 <= ages[claimed] < 160
    assert 50 <= ages[started] < 99


def test_only_what_is_in_the_states_that_are_named_is_taken_up(database: Database) -> None:
    claimed, started = admitted(database, claim=MINE), admitted(database, claim=MINE)
    with database.begin() as conn:
        start(conn, started, MINE)
    with database.begin() as conn:
        both = [claimed, started]
        found = leases.take_up(conn, both, lease=LEASE, among=[Status.GENERATING])
    assert [request.id for request, _ in found] == [started]
    # The attempt of the other was its claim.
    assert row(database, claimed).attempts == 1


def test_a_start_counts_attempts_anew(database: Database) -> None:
    request_id = admitted(database, claim=MINE)
    assert row(database, request_id).attempts == 1
    with database.begin() as conn:
        assert start(conn, request_id, MINE).attempts == 0


@pytest.mark.parametrize("claim", [None, MINE], ids=["unclaimed", "claimed"])
def test_a_request_can_be_refused_before_it_has_started(
    database: Database, claim: UUID | None
) -> None:
    request_id = admitted(database, claim=claim)
    with database.begin() as conn:
        refused = requests.refuse(conn, request_id, code="filtered", message="No", claim=claim)
    assert (refused.status, refused.error_code, refused.error_message) == (
        Status.FAILED,
        "filtered",
        "No",
    )
    assert (refused.duration_ms, refused.due_at, refused.counted) == (0, None, True)
    assert moves_of(database, request_id) == [("pending", "generating"), ("generating", "failed")]


@pytest.mark.parametrize(
    ("owner", "claim"),
    [(MINE, None), (None, MINE), (ANOTHERS, MINE)],
    ids=["claimed", "unclaimed", "another's"],
)
def test_a_refusal_is_fenced_by_the_claim(
    database: Database, owner: UUID | None, claim: UUID | None
) -> None:
    request_id = admitted(database, claim=owner)
    before = row(database, request_id)
    with pytest.raises(ClaimLost), database.begin() as conn:
        requests.refuse(conn, request_id, code="cancelled", message="No", claim=claim)
    assert row(database, request_id) == before


def refuse(conn: Connection, request_id: UUID) -> Request:
    return requests.refuse(conn, request_id, code="cancelled", message="No", claim=MINE)


def give_up_search(conn: Connection, request_id: UUID) -> Request:
    return requests.give_up_search(conn, request_id, message="Nothing came of it")


Ending = Callable[[Connection, UUID], Request]


@pytest.mark.parametrize(
    ("ending", "target"), [(refuse, Status.FAILED), (give_up_search, Status.TIMEOUT)]
)
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (Status.GENERATING, ClaimLost),
        (Status.COMPLETED, InvalidStatusTransition),
        (Status.FAILED, InvalidStatusTransition),
        (Status.TIMEOUT, InvalidStatusTransition),
    ],
)
def test_what_has_started_is_neither_refused_nor_given_up(
    database: Database, ending: Ending, target: Status, status: Status, error: type[Exception]
) -> None:
    request_id = in_state(database, status, claim=MINE)
    before = row(database, request_id)
    with database.begin() as conn:
        if status is target:
            assert ending(conn, request_id) == before
        else:
            with pytest.raises(error):
                ending(conn, request_id)
    assert row(database, request_id) == before


def test_a_search_that_is_given_up_gives_its_place_in_the_limit_back(database: Database) -> None:
    request_id = admitted(database, claim=MINE)
    for _ in range(4):
        admit(database)
    assert not admit(database).is_allowed
    claimed_at = row(database, request_id).claimed_at
    with database.begin() as conn:
        ended = give_up_search(conn, request_id)
    assert (ended.status, ended.counted, ended.started_at) == (Status.TIMEOUT, False, claimed_at)
    assert (ended.error_code, ended.error_message) == ("timeout", "Nothing came of it")
    assert moves_of(database, request_id) == [("pending", "generating"), ("generating", "timeout")]
    assert admit(database).is_allowed
    assert not admit(database).is_allowed


def test_without_a_claim_there_is_no_search_to_give_up(database: Database) -> None:
    request_id = admitted(database)
    with pytest.raises(ClaimLost), database.begin() as conn:
        give_up_search(conn, request_id)
    assert row(database, request_id).counted
    with pytest.raises(RequestNotFound), database.begin() as conn:
        give_up_search(conn, uuid4())


def test_ev1_an_event_goes_with_its_request_and_holds_what_it_was_given(
    database: Database,
) -> None:
    request_id = admitted(database)
    data: dict[str, Any] = {"ip": "203.0.113.7", "nested": [1, None, "é"]}
    with database.begin() as conn:
        events.record(conn, request_id, events.EventType.ACCEPTED_LATE, data)
        *_, last = events.of_request(conn, request_id)
        assert (last.event_type, last.event_data) == ("accepted_late", data)
        conn.execute(text("DELETE FROM video_requests"))
        assert events.of_request(conn, request_id) == []


def test_qh1_a_users_requests_newest_first(database: Database) -> None:
    mine = [admitted(database) for _ in range(5)]
    admitted(database, user_id="bob")
    with database.begin() as conn:
        page = [request.id for request in history.of_user(conn, "alice", limit=3)]
        rest = [request.id for request in history.of_user(conn, "alice", limit=3, offset=3)]
        assert requests.get(conn, uuid4()) is None
    assert page + rest == mine[::-1]


def test_rt4_the_addresses_of_the_video_are_kept_in_their_order(database: Database) -> None:
    request_id = in_state(database, Status.GENERATING, claim=MINE)
    urls = [*URLS, "gs://bucket/a second, with a comma.mp4", 'gs://bucket/"quoted"{}.mp4']
    with database.begin() as conn:
        requests.complete(conn, request_id, urls)
    assert row(database, request_id).video_urls == urls
