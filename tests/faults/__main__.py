"""``python -m tests.faults``: kills, accidents and the whole soak, as often as is asked for."""

import json
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click
import pytest

from tests.faults.accidents import ACCIDENTS
from tests.faults.ledger import Line, over_all, table
from tests.faults.run import Run

FOLDER = Path(__file__).parent
NAMES = "\n".join(f"  {name}" for name in ACCIDENTS)


@click.command(epilog=f"\b\nAccidents, all of them unless some are named:\n{NAMES}")
@click.argument("names", nargs=-1, type=click.Choice(list(ACCIDENTS)), metavar="[NAME]...")
@click.option("--times", default=1, show_default=True, help="Runs, one after the other.")
@click.option("--soak", is_flag=True, help="The whole soak and nothing else.")
@click.option("--kills", is_flag=True, help="Everything that is no accident and no soak.")
@click.option(
    "--table",
    "path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="A file for the tables, and beside it, with .json at its end, for all their lines.",
)
def main(*, names: tuple[str, ...], times: int, soak: bool, kills: bool, path: Path | None) -> None:
    """Have everything fail that can, and print what came of it: lost and doubled have to be 0.

    Exit status 1 says that they were not, or that a test has failed otherwise.
    """
    runs: list[Run] = []
    for number in range(1, times + 1):
        begin = time.monotonic()
        run = Run()
        pytest.main(_chosen(names, soak=soak, kills=kills), plugins=[run])
        runs.append(run)
        head = f"Run {number} of {times}, {(time.monotonic() - begin) / 60:.1f} minutes"
        _tell(f"{head}\n{table(run.lines)}\n{_verdict(run)}\n", path)
    if times > 1:
        by_fault: dict[str, list[Line]] = defaultdict(list)
        for run in runs:
            for line in run.lines:
                by_fault[line.fault].append(line)
        sums = [over_all(lines) for lines in by_fault.values()]
        _tell(f"All {times} runs; the seconds are the longest\n{table(sums)}\n", path)
    if path is not None:
        lines = [[asdict(line) for line in run.lines] for run in runs]
        path.with_name(f"{path.name}.json").write_text(json.dumps(lines, indent=1))
    sys.exit(any(run.failed for run in runs))


def _chosen(names: Sequence[str], *, soak: bool, kills: bool) -> list[str]:
    """The arguments of pytest."""
    common = ["-n", "0", "-q", "-m", "long or not long", "--no-header"]
    those = str(FOLDER / "test_soak.py")
    if names:
        return [*common, *(f"{those}::test_an_accident[{name}]" for name in names)]
    if soak:
        return [*common, f"{those}::test_a_whole_soak"]
    if kills:
        return [*common, str(FOLDER), f"--ignore={those}"]
    return [*common, str(FOLDER)]


def _verdict(run: Run) -> str:
    return "".join(f"failed: {each}\n" for each in run.failed) or "All holds."


def _tell(text: str, path: Path | None) -> None:
    click.echo(text)
    if path is not None:
        with path.open("a") as file:
            file.write(f"{text}\n")


if __name__ == "__main__":
    main()
