"""A worker that stands still for longer than a lease, with everything it was following."""

from typing import Final

import pytest

from db.states import Status
from tests.db.rows import new_request
from tests.workers.conftest import MakeSystem
from tests.workers.harness import System
from tests.workers.waiting import stays, until
from workers import admitting, starting
from workers.app import VISIBILITY_TIMEOUT
from workers.starting import Step
from workers.sweeper import BATCH

IN_FLIGHT: Final = 2000
FROZEN: Final = 40.0
"""Seconds: longer than the lease, shorter than the visibility timeout."""
RESCUE_AFTER: Final = 30
RECOVERY: Final = 60.0
"""Seconds until all is as before (DESIGN, 3: the same was tried with retries, which never was). It
takes 20 where nothing else runs."""
LATE: Final = 5.0
"""Seconds after which a request that is due counts as overdue."""


def messages(system: System) -> int:
    """Messages that somebody may still act on."""
    return sum(not message.has_expired for message in system.broker.messages(sweeps=True))


@pytest.mark.long
def test_a_frozen_worker_comes_back_to_a_backlog(make_system: MakeSystem) -> None:
    assert RESCUE_AFTER < FROZEN < VISIBILITY_TIMEOUT
    system = make_system(
        SANDBOX_OUTCOME="never",
        GENERATION_TIMEOUT_SECONDS=3600,
        RESCUE_AFTER_SECONDS=RESCUE_AFTER,
    )
    # By the steps of the chain, taken here: in messages it takes a minute.
    for number in range(IN_FLIGHT):
        new = new_request(user_id=f"user-{number}")
        admitting.admit(system.context, new)
        assert starting.start(system.context, new.id) is Step.DONE
    worker = system.start_worker()
    system.start_beat()
    until(lambda: system.overdue(LATE) == 0, what="all are followed", within=60)
    # A message for each batch; as many again that have run and are not yet acknowledged; until they
    # expire, one that is not full of each sweep, by the worker and by beat; and sweeps themselves.
    bound = 2 * IN_FLIGHT // BATCH + 2 * RESCUE_AFTER + 10
    most = 0

    def is_bounded() -> bool:
        nonlocal most
        most = max(most, messages(system))
        return most <= bound

    assert stays(lambda: is_bounded() and system.overdue(LATE) == 0, seconds=10), most

    worker.freeze()
    assert stays(is_bounded, seconds=FROZEN), most
    assert system.overdue(LATE) == IN_FLIGHT
    worker.thaw()

    def is_as_before() -> bool:
        assert is_bounded(), most
        return system.overdue(LATE) == 0 and not [
            message for message in system.broker.messages(sweeps=True) if message.has_expired
        ]

    until(is_as_before, what="all is as before", within=RECOVERY)
    # And it stays so.
    assert stays(lambda: is_bounded() and system.overdue(LATE) == 0, seconds=10), most
    assert system.count(Status.GENERATING) == IN_FLIGHT
    assert sum(system.calls().values()) == IN_FLIGHT
    assert worker.status is None
