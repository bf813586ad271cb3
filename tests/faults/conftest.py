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

Record = Callable[..., None]
"""Of some lines."""


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """Have lines stand in the table of this run, and hold them to what must never be."""
    path = request.config.getoption(LINES, default=None)

    def note(*lines: Line) -> None:
        if path is not None:
            # At once: others write to it as well.
            with Path(path).open("a") as file:
                file.write("".join(f"{json.dumps(asdict(line))}\n" for line in lines))
        print(f"\n{table(lines)}")
        assert all(line.holds for line in lines), f"\n{table(lines)}"

    return note
