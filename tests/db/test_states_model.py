"""RT2, EV1: whatever is done to a request in whatever order, it stays possible and well told."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, text

from db import leases, requests
from db.engine import Database
from db.errors import ClaimLost, DatabaseError, InvalidStatusTransition
from db.records import Request
from db.states import TRANSITIONS, Status
from tests.db.rows import LEASE, PREFIX, admitted, end, moves, row, start

CLAIMS = [uuid4(), uuid4()]
PENDING, GENERATING = Status.PENDING, Status.GENERATING
ENDED = [Status.COMPLETED, Status.FAILED, Status.TIMEOUT]

Operation = Callable[[Connection], Request]


class Life(RuleBasedStateMachine):
    """One request, and a model of it in four fields."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.id = admitted(database)
        self.status = PENDING
        self.claim: UUID | None = None
        self.counted = True
        self.told: list[tuple[str, str]] = []
        #: The row as it was last seen, and whether nothing may have changed since.
        self.seen = row(database, self.id)
        self.is_untouched = True

    def attempt(self, operation: Operation, *path: Status, is_fenced_out: bool = False) -> bool:
        """`operation` moves along `path`, or ends as the model foresees. True if it has moved."""
        source, target = (PENDING if path[0] is GENERATING else GENERATING), path[-1]
        refused: type[DatabaseError] | None = None
        if self.status is source:
            refused = ClaimLost if is_fenced_out else None
        elif self.status is not target:
            refused = ClaimLost if self.status in path else InvalidStatusTransition
        if refused:
            with pytest.raises(refused), self.database.begin() as conn:
                operation(conn)
        else:
            with self.database.begin() as conn:
                assert operation(conn).status is target
        if refused or self.status is target:
            self.is_untouched = True
            return False
        self.told += zip((source, *path), path, strict=False)
        self.status = target
        return True

    @rule(claim=st.sampled_from(CLAIMS))
    def is_claimed(self, claim: UUID) -> None:
        with self.database.begin() as conn:
            taken = leases.claim(conn, self.id, claim, lease=LEASE)
        assert (taken is not None) == (self.status is PENDING and self.claim is None)
        self.claim = claim if taken else self.claim

    @rule(claim=st.sampled_from(CLAIMS))
    def is_released(self, claim: UUID) -> None:
        with self.database.begin() as conn:
            leases.release(conn, self.id, claim, due_in=LEASE)
        if self.status is PENDING and self.claim == claim:
            self.claim = None

    @rule(claim=st.sampled_from(CLAIMS))
    def is_started(self, claim: UUID) -> None:
        fenced_out = self.claim != claim
        self.attempt(lambda conn: start(conn, self.id, claim), GENERATING, is_fenced_out=fenced_out)

    @rule()
    def is_adopted(self) -> None:
        self.attempt(
            lambda conn: requests.adopt(conn, self.id, gcs_prefix=PREFIX),
            GENERATING,
            is_fenced_out=self.claim is None,
        )

    @rule(status=st.sampled_from(ENDED))
    def is_ended(self, status: Status) -> None:
        self.attempt(lambda conn: end(conn, self.id, status), status)

    @rule(claim=st.sampled_from([None, *CLAIMS]))
    def is_refused(self, claim: UUID | None) -> None:
        self.attempt(
            lambda conn: requests.refuse(conn, self.id, code="refused", message="No", claim=claim),
            GENERATING,
            Status.FAILED,
            is_fenced_out=self.claim != claim,
        )

    @rule()
    def is_given_up(self) -> None:
        gave_up = self.attempt(
            lambda conn: requests.give_up_search(conn, self.id, message="Nothing came"),
            GENERATING,
            Status.TIMEOUT,
            is_fenced_out=self.claim is None,
        )
        self.counted = self.counted and not gave_up

    @rule(status=st.sampled_from(Status))
    def is_updated_by_hand(self, status: Status) -> None:
        values: dict[str, Any] = {"id": self.id, "status": status}
        statement = text(
            """
            UPDATE video_requests
            SET
              status = :status,
              started_at = CASE WHEN :status <> 'pending' THEN now() END,
              completed_at = CASE WHEN :status NOT IN ('pending', 'generating') THEN now() END,
              duration_ms = CASE WHEN :status NOT IN ('pending', 'generating') THEN 1 END
            WHERE id = :id
            """
        )
        if status is self.status or status in TRANSITIONS[self.status]:
            with self.database.begin() as conn:
                conn.execute(statement, values)
            self.is_untouched = status is self.status
            self.status = status
        else:
            refused = pytest.raises(DatabaseError, match=r"^Invalid status transition")
            with refused, self.database.begin() as conn:
                conn.execute(statement, values)
            self.is_untouched = True

    @invariant()
    def the_row_and_its_events_are_what_the_model_says(self) -> None:
        with self.database.begin() as conn:
            found = requests.get(conn, self.id)
            told = moves(conn, self.id)
        assert found
        assert found == self.seen or not self.is_untouched
        self.seen, self.is_untouched = found, False
        model = (self.status, self.claim, self.counted)
        assert (found.status, found.claim, found.counted) == model
        assert (found.claimed_at is None) == (found.claim is None)
        assert (found.started_at is None) == (found.status is PENDING)
        assert (found.completed_at is None) == (found.duration_ms is None)
        assert (found.completed_at is not None) == found.status.has_ended
        assert told == self.told


def test_a_request_stays_possible_whatever_is_done_to_it(database: Database) -> None:
    run_state_machine_as_test(
        partial(Life, database),  # type: ignore[arg-type]
        settings=settings(max_examples=50, stateful_step_count=12),
    )
