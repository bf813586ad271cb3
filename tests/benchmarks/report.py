"""What was measured, as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from tests.benchmarks.measuring import Comparison, Timing

WORDS = {True: "holds", False: "MISSED", None: "-"}


def table(found: Iterable[Comparison], console: Console) -> None:
    """A line for each comparison; times in microseconds, where there is no other unit."""
    console.width = max(console.width, 110)
    shown = Table(title="Microseconds: median (95th percentile)", title_justify="left")
    for heading in ("", "takes", "against", "takes", "ratio", "bound", ""):
        right = heading in ("takes", "ratio", "bound")
        shown.add_column(heading, justify="right" if right else "left")
    for each in found:
        shown.add_row(
            each.name,
            _times(each.subject, each.unit),
            each.base.name,
            _times(each.base, each.unit),
            f"{each.ratio:.2f}",
            "-" if each.bound is None else f"{each.bound:.2f}",
            WORDS[each.holds],
        )
    console.print(shown)


def as_json(found: Iterable[Comparison]) -> str:
    """A list of objects; times in microseconds, where ``unit`` is no other."""
    return json.dumps(
        [asdict(each) | {"ratio": each.ratio, "holds": each.holds} for each in found], indent=2
    )


def _times(timing: Timing, unit: str) -> str:
    if unit != "microseconds":
        return f"{timing.median:.2f} ({timing.p95:.2f}) {unit}"
    return f"{timing.median:,.0f} ({timing.p95:,.0f})"
