"""Accidents, one by one and all together: nothing is lost, and nothing is done twice (RT7)."""

from collections.abc import Iterator

import pytest

from tests.faults.accidents import ACCIDENTS
from tests.faults.conftest import Record
from tests.faults.run import SEED
from tests.faults.soak import any_accidents, befall
from tests.faults.stage import Stage, new_stage

SHORT = ["pool child SIGKILL", "Redis restarted, empty", "Postgres restarted"]
REQUESTS, PEOPLE = 2500, 200
"""Of which some are refused, and at least two thousand made."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """One for all accidents of this process, which it has to survive one after the other."""
    with new_stage() as found:
        yield found
        assert ends_in_order(found)


def ends_in_order(stage: Stage) -> bool:
    """Whether all ends when it is told to, and leaves nothing behind."""
    stage.stop()
    return not stage.orphans()


def test_a_short_soak(record: Record) -> None:
    with new_stage(workers=1) as found:
        line = befall(found, "short soak", SHORT, requests=40, people=8, a_second=8)
        assert line.accepted > 20
        record(line)
        assert ends_in_order(found)


@pytest.mark.long
@pytest.mark.parametrize("name", ACCIDENTS)
def test_an_accident(stage: Stage, name: str, record: Record) -> None:
    seed = [*ACCIDENTS].index(name)
    # What takes long has people ask in the middle of it.
    a_second = 1 if ACCIDENTS[name].is_long else 4
    record(befall(stage, name, [name], requests=24, people=5, a_second=a_second, seed=seed))


@pytest.mark.long
def test_a_whole_soak(record: Record, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption(SEED, default=1)
    given = {"GENERATION_TIMEOUT_SECONDS": 60, "RESCUE_AFTER_SECONDS": 10, "DAILY_LIMIT": 20}
    with new_stage(**given) as found:
        line = befall(
            found,
            f"soak, seed {seed}",
            any_accidents(200, seed=seed),
            requests=REQUESTS,
            people=PEOPLE,
            a_second=6,
            seed=seed,
            late=0.02,
            pause=2,
            more_time=120,
        )
        record(line)
        assert line.accepted >= 2000
        assert ends_in_order(found)
