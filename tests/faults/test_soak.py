"""Accidents, one by one and all together: nothing is lost, and nothing is done twice (RT7)."""

import pytest

from tests.faults.accidents import ACCIDENTS
from tests.faults.ledger import table
from tests.faults.soak import any_accidents, soak, studio
from tests.workers.conftest import MakeSystem

SHORT = ["Redis flushed", "pool child SIGKILL", "Postgres closes all connections", "worker frozen"]


def test_a_short_soak(make_system: MakeSystem) -> None:
    with studio(make_system) as found:
        line = soak(found, "short soak", requests=60, users=12, accidents=SHORT)
    print(table([line]))
    assert line.holds, table([line])
    assert line.accepted > 40


@pytest.mark.long
def test_each_accident(make_system: MakeSystem) -> None:
    lines = []
    for name in ACCIDENTS:
        with studio(make_system) as found:
            lines.append(soak(found, name, requests=20, users=5, accidents=[name]))
    print(table(lines))
    assert all(line.holds for line in lines), table(lines)


@pytest.mark.long
@pytest.mark.parametrize("seed", [1])
def test_a_whole_soak(make_system: MakeSystem, seed: int) -> None:
    with studio(make_system) as found:
        accidents = any_accidents(80, seed=seed)
        line = soak(found, f"soak {seed}", requests=2000, users=200, accidents=accidents, seed=seed)
    print(table([line]))
    assert line.holds, table([line])
