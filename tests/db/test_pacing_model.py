"""Whatever becomes of those who wait and in whatever order, no minute holds too many calls."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from db import keeping, leases, pacing
from db.engine import Database
from tests.db.queues import BEGIN, LEAD, MINUTE, VALID, ask, give, most_in_a_minute, take

LIMIT = 2


@dataclass(frozen=True)
class Call:
    """A claim, and when its call reaches the provider."""

    request_id: UUID
    claim: UUID
    at: datetime


class Line(RuleBasedStateMachine):
    """Some who wait, and a clock that goes on. Who is not told otherwise has called, or died."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        with database.begin() as conn:
            conn.execute(text("DELETE FROM video_requests"))
            conn.execute(text("DELETE FROM start_turns"))
        self.now = BEGIN
        #: Who may still be started, and when those asked.
        self.waiting: dict[UUID, datetime] = {}
        self.turns: list[UUID] = []
        self.calls: list[Call] = []
        #: Calls of which the end is not written yet.
        self.open: list[Call] = []

    @rule(number=st.integers(1, 4))
    def ask(self, number: int) -> None:
        with self.database.begin() as conn:
            for _ in range(number):
                self.waiting[ask(conn, at=self.now)] = self.now

    @rule(seconds=st.sampled_from([1, 4, 9, 10, 16, 45]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def give(self) -> None:
        given = give(self.database, LIMIT, self.now)
        asked = [self.waiting[request_id] for request_id in given]
        assert asked == sorted(asked)
        self.turns += given

    @rule(which=st.integers(0), delay=st.floats(0, 1))
    def take(self, which: int, delay: float) -> None:
        """A turn is taken, if it may be; its call arrives at any time within the lead."""
        if not self.turns:
            return
        request_id = self.turns.pop(which % len(self.turns))
        claim = take(self.database, request_id, self.now)
        if claim is not None:
            call = Call(request_id, claim, self.now + LEAD * delay)
            self.calls.append(call)
            self.open.append(call)
            del self.waiting[request_id]

    @rule(which=st.integers(0), is_taken=st.booleans())
    def answer(self, which: int, is_taken: bool) -> None:
        """The provider takes the call, or refuses it for now."""
        if not self.open:
            return
        call = self.open.pop(which % len(self.open))
        self.now = max(self.now, call.at)
        with self.database.begin() as conn:
            pacing.answered(conn, call.request_id, moment=self.now)
            if not is_taken:
                leases.release(conn, call.request_id, call.claim, due_in=timedelta(seconds=1))
                self.waiting[call.request_id] = self.now

    @rule(which=st.integers(0))
    def delete(self, which: int) -> None:
        if not self.waiting:
            return
        request_id = sorted(self.waiting)[which % len(self.waiting)]
        with self.database.begin() as conn:
            keeping.delete(conn, request_id, by="alice")
        del self.waiting[request_id]

    @invariant()
    def no_minute_holds_too_many(self) -> None:
        assert most_in_a_minute([call.at for call in self.calls]) <= LIMIT

    def teardown(self) -> None:
        """Whoever waits still gets a turn, and soon."""
        for _ in range(len(self.waiting) + LIMIT):
            self.now += MINUTE + LEAD + VALID
            for request_id in give(self.database, LIMIT, self.now):
                assert take(self.database, request_id, self.now)
                self.waiting.pop(request_id)
        assert not self.waiting


def test_no_minute_holds_too_many_calls_whatever_happens(table: Database) -> None:
    run_state_machine_as_test(
        partial(Line, table),  # type: ignore[arg-type]
        settings=settings(max_examples=60, stateful_step_count=40),
    )
