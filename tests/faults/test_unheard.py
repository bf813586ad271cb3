"""Postgres has done what it was asked for, and nobody has heard of it."""

import pytest

from db.states import Status
from tests.db.rows import new_request
from tests.faults.points import Death
from tests.faults.relay import relay
from tests.workers.conftest import MakeSystem
from workers import admitting, chain


@pytest.mark.parametrize("is_carried", [True, False], ids=["by its message", "by its row"])
def test_a_claim_that_nobody_heard_of_is_given_back(
    make_system: MakeSystem, *, is_carried: bool
) -> None:
    # Otherwise it was as if somebody had died who may have made the call: nobody makes it again.
    system = make_system(GENERATION_TIMEOUT_SECONDS=20, RESCUE_AFTER_SECONDS=2)
    new = new_request()
    with (
        relay(system.environment["DATABASE_URL"]) as way,
        way.held("claimed_at=now()", str(new.id), when=Death.AFTER) as claim,
    ):
        system.start_worker(DATABASE_URL=way.url)
        if is_carried:
            system.submit(new)
        else:
            admitting.admit(system.context, new)
            with system.broker.in_use():
                chain.resume(new.id, at="start_generation")
        claim.wait()
        assert system.row(new.id).claim is not None
        with way.closed():
            pass
        [row] = system.wait_until_ended([new.id])
    assert row.status is Status.COMPLETED
    assert system.calls()[new.id] == 1
