"""Pacing: never more calls in any minute than the limit, in an order that is fair to all."""

import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta
from threading import Barrier, Lock
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from db import keeping, leases, pacing, privacy
from db.engine import Database
from tests.db.crowds import many_connections
from tests.db.queues import BEGIN, LEAD, MINUTE, VALID, ask, give, most_in_a_minute, take
from tests.db.rows import LEASE, admitted, make_due
from tests.workers.waiting import until

WORKERS, LIMIT = 4, 50
BACKLOG, OTHERS = 300, 200


@pytest.fixture
def workers(database_url: str) -> Iterator[Database]:
    """A connection for each of four workers, and one to look on."""
    with many_connections(database_url, WORKERS + 1) as database:
        yield database


class Rush:
    """Four workers who start whom they may, at a time that moves."""

    def __init__(self, workers: Database) -> None:
        self.workers = workers
        self.calls: list[tuple[UUID, datetime]] = []
        self.lock = Lock()
        self.barrier = Barrier(WORKERS)
        self.dice = [random.Random(number) for number in range(WORKERS)]  # noqa: S311 -- a test

    def work(self, moment: datetime) -> None:
        """All of them at once."""
        with ThreadPoolExecutor(WORKERS) as threads:
            list(threads.map(lambda number: self._work(number, moment), range(WORKERS)))

    def _work(self, number: int, moment: datetime) -> None:
        dice = self.dice[number]
        self.barrier.wait(30)
        for request_id in give(self.workers, LIMIT, moment):
            fate = dice.random()
            if fate < 0.03:
                # The message is lost, or the worker dies.
                continue
            taken_at = moment + VALID * dice.random() * 0.99
            claim = take(self.workers, request_id, taken_at)
            assert claim
            called_at = taken_at + LEAD * dice.random()
            with self.lock:
                self.calls.append((request_id, called_at))
            if fate < 0.06:
                # It dies in the call, of which nobody knows how it ended.
                continue
            with self.workers.begin() as conn:
                pacing.answered(conn, request_id, moment=called_at)
                if fate < 0.1:
                    # 429 all the same.
                    leases.release(conn, request_id, claim, due_in=timedelta(seconds=2))


def test_500_requests_at_50_a_minute(workers: Database) -> None:
    """One user has 300 waiting when 200 others come, one after the other."""
    with workers.begin() as conn:
        for number in range(BACKLOG):
            ask(conn, user="greedy", at=BEGIN, fair_at=BEGIN + number * MINUTE)
        others = {}
        for number in range(OTHERS):
            asked_at = BEGIN + MINUTE + number * timedelta(seconds=1.5)
            others[ask(conn, user=f"user {number}", at=asked_at)] = asked_at
    rush, moment, is_over = Rush(workers), BEGIN, False
    while not is_over:
        assert moment < BEGIN + 20 * MINUTE
        rush.work(moment)
        moment += timedelta(seconds=4)
        with workers.begin() as conn:
            is_over = not conn.execute(
                text("SELECT count(*) FROM video_requests WHERE claim IS NULL")
            ).scalar_one()

    assert most_in_a_minute([called_at for _, called_at in rush.calls]) == LIMIT
    # None starved, and none was started twice but after a 429.
    called = Counter(request_id for request_id, _ in rush.calls)
    assert len(called) == BACKLOG + OTHERS
    assert called.total() < 1.15 * (BACKLOG + OTHERS)
    # No first request waited for the backlog: a minute until there is room, and its own call.
    first_calls = dict(reversed(rush.calls))
    waits = [first_calls[request_id] - asked_at for request_id, asked_at in others.items()]
    assert max(waits) < MINUTE + VALID + LEAD + timedelta(seconds=10)
    # And the limit was made use of.
    assert moment - BEGIN < 16 * MINUTE


def test_four_at_once_give_no_more_than_the_limit(workers: Database) -> None:
    with workers.begin() as conn:
        for number in range(100):
            ask(conn, at=BEGIN, fair_at=BEGIN + timedelta(seconds=number))
    barrier = Barrier(WORKERS)

    def give_one_more(limit: int) -> list[UUID]:
        barrier.wait(30)
        return give(workers, limit, BEGIN)

    with ThreadPoolExecutor(WORKERS) as threads:
        for limit in range(1, 21):
            given = list(threads.map(give_one_more, [limit] * WORKERS))
            assert sum(map(len, given)) == 1


def test_a_turn_that_is_taken_in_the_moment_it_would_be_withdrawn_counts(
    workers: Database,
) -> None:
    with workers.begin() as conn:
        first = ask(conn, at=BEGIN)
    assert give(workers, 1, BEGIN) == [first]
    too_late = BEGIN + VALID
    with ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor())
        with workers.begin() as conn:
            in_time = too_late - timedelta(milliseconds=1)
            assert pacing.take(conn, first, lead=LEAD, moment=in_time)
            giving = threads.submit(give, workers, 1, too_late)
            until(lambda: is_blocked(workers), what="the giver waits for the taker")
        assert giving.result(30) == []


def is_blocked(database: Database) -> bool:
    with database.autocommit() as conn:
        return bool(
            conn.execute(
                text(
                    "SELECT EXISTS (SELECT FROM pg_stat_activity"
                    " WHERE datname = current_database() AND wait_event_type = 'Lock')"
                )
            ).scalar_one()
        )


def test_turns_are_given_in_order_and_only_taken_in_time(database: Database) -> None:
    with database.begin() as conn:
        third, first, second = (
            ask(conn, at=BEGIN - MINUTE, fair_at=BEGIN - timedelta(seconds=fair))
            for fair in (1, 3, 2)
        )
    assert take(database, first, BEGIN) is None
    assert give(database, 2, BEGIN) == [first, second]
    assert give(database, 2, BEGIN) == []
    assert take(database, third, BEGIN) is None
    assert take(database, first, BEGIN)
    assert take(database, first, BEGIN) is None
    # A turn that nobody has taken goes back, and its place is the old one.
    later = BEGIN + VALID
    assert take(database, second, later) is None
    assert give(database, 2, later) == [second]
    # What was called a minute ago does not count any more; without an answer, when it may have
    # been called the last.
    assert give(database, 2, BEGIN + LEAD + MINUTE - timedelta(milliseconds=1)) == [second]
    assert give(database, 3, BEGIN + LEAD + MINUTE) == [third]


def test_no_more_are_in_hand_than_workers_take(database: Database) -> None:
    """Whatever the provider takes in a minute: what lapses is given again, by a message each."""
    with database.begin() as conn:
        for number in range(2 * pacing.IN_HAND):
            ask(conn, at=BEGIN, fair_at=BEGIN + timedelta(seconds=number))
    given = give(database, 10_000, BEGIN)
    assert len(given) == pacing.IN_HAND
    assert not give(database, 10_000, BEGIN)
    for request_id in given[:10]:
        assert take(database, request_id, BEGIN)
    assert len(give(database, 10_000, BEGIN)) == 10


def test_an_answer_lets_the_minute_begin(database: Database) -> None:
    with database.begin() as conn:
        first, second = ask(conn, at=BEGIN), ask(conn, at=BEGIN + timedelta(seconds=1))
    give(database, 1, BEGIN)
    assert take(database, first, BEGIN)
    answered_at = BEGIN + timedelta(seconds=2)
    with database.begin() as conn:
        pacing.answered(conn, first, moment=answered_at)
        # It comes again.
        pacing.answered(conn, first, moment=answered_at + timedelta(seconds=1))
    assert give(database, 1, answered_at + MINUTE - timedelta(milliseconds=1)) == []
    assert give(database, 1, answered_at + MINUTE) == [second]


def test_who_backs_off_holds_up_nobody_and_keeps_the_place(database: Database) -> None:
    with database.begin() as conn:
        first, second, *_ = (ask(conn, at=BEGIN + timedelta(seconds=each)) for each in range(3))
    moment = BEGIN + timedelta(seconds=2)
    assert give(database, 1, moment) == [first]
    claim = take(database, first, moment)
    assert claim
    with database.begin() as conn:
        leases.release(conn, first, claim, due_in=timedelta(days=2))
    assert give(database, 2, moment) == [second]
    assert give(database, 2, BEGIN + timedelta(days=3)) == [first, second]


def test_the_place_is_the_number_of_those_before(database: Database) -> None:
    with database.begin() as conn:
        waiting = [ask(conn, at=BEGIN + timedelta(seconds=each)) for each in range(3)]
    make_due(database, *waiting)
    with database.begin() as conn:
        assert pacing.places(conn, waiting) == {}
        for request_id in waiting:
            pacing.line_up(conn, request_id)
        assert pacing.places(conn, waiting) == dict(zip(waiting, (1, 2, 3), strict=True))
        keeping.delete(conn, waiting[0], by="alice")
        assert [pacing.place(conn, each) for each in waiting] == [None, 1, 2]


def test_nobody_lines_up_who_is_not_to_be_started(database: Database) -> None:
    claimed, backing_off = admitted(database, claim=uuid4()), admitted(database)
    deleted = admitted(database, user_id="bob")
    make_due(database, claimed, deleted)
    with database.begin() as conn:
        # As if death had come before it was cancelled.
        privacy.forget(conn, "bob")
        for request_id in (claimed, backing_off, deleted):
            pacing.line_up(conn, request_id)
        assert pacing.places(conn, [claimed, backing_off, deleted]) == {}
        due = leases.take_due(conn, limit=10, lease=LEASE, is_paced=True)
    # To be looked for, and to be cancelled.
    assert {(each.id, each.is_in_line) for each in due} == {(claimed, False), (deleted, False)}


def test_a_queue_forms_and_dissolves(database: Database) -> None:
    """Pacing is switched on, and off again."""
    waiting = [admitted(database, user_id=user) for user in ("alice", "bob")]
    with database.begin() as conn:
        assert not leases.take_due(conn, limit=10, lease=LEASE, is_paced=True)
    make_due(database, *waiting)
    with database.begin() as conn:
        due = leases.take_due(conn, limit=10, lease=LEASE, is_paced=True)
        assert {(each.id, each.is_in_line) for each in due} == {(each, True) for each in waiting}
        assert not leases.take_due(conn, limit=10, lease=LEASE, is_paced=True)
        assert sorted(pacing.places(conn, waiting).values()) == [1, 2]
    with database.begin() as conn:
        leases.leave_line(conn)
    with database.begin() as conn:
        due = leases.take_due(conn, limit=10, lease=LEASE)
        assert {(each.id, each.is_in_line) for each in due} == {(each, False) for each in waiting}
