"""Systems and people for all faults, and where the lines of the tables go."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.e2e.conftest import ana, guild
from tests.faults.ledger import Line, table
from tests.faults.run import LINES
from tests.workers.conftest import make_shared_system, make_system

__all__ = ["ana", "guild", "make_shared_system", "make_system"]

Record = Callable[[Line], None]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Have a line stand in the table of this run, and hold it to what must never be."""
    path = request.config.getoption(LINES, default=None)

    def note(line: Line) -> None:
        if path is not None:
            with Path(path).open("a") as file:
                file.write(f"{json.dumps(asdict(line))}\n")
        print(f"\n{table([line])}")
        assert line.holds, f"\n{table([line])}"

    return note
