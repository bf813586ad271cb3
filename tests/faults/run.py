"""One run of the suite: what its tests have come to."""

from dataclasses import dataclass, field

import pytest

from tests.faults.ledger import Line


@dataclass(eq=False)
class Run:
    """A plugin of pytest's, to which the tests give their lines."""

    lines: list[Line] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test that has failed, wherever in it."""
        if report.failed:
            self.failed.append(report.nodeid)
