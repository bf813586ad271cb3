"""``python -m tests.faults``: kills, accidents and the whole soak, as often as is asked for."""

import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

import click

from tests.faults import run
from tests.faults.accidents import ACCIDENTS
from tests.faults.ledger import Line, over_all, table

FOLDER = Path(__file__).parent
NAMES = "\n".join(f"  {name}" for name in ACCIDENTS)
WHOLE_SOAK = "test_a_whole_soak"
COMMON: Final = (
    *("-v", "-m", "long or not long", "--no-header", "--durations=20"),
    # Of what takes longer than those seconds it is shown where everybody stands.
    *("-o", "faulthandler_timeout=600"),
)
AT_ONCE: Final = 8


@click.command(epilog=f"\b\nAccidents, all of them unless some are named:\n{NAMES}")
@click.argument("names", nargs=-1, type=click.Choice(list(ACCIDENTS)), metavar="[NAME]...")
@click.option("--times", default=1, show_default=True, help="Runs, one after the other.")
@click.option("--soak", is_flag=True, help="The whole soak and nothing else.")
@click.option("--seed", default=1, show_default=True, help="Of the whole soak.")
@click.option("--kills", is_flag=True, help="Everything that is no accident and no soak.")
@click.option(
    "--table",
    "path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="A file for the tables, and beside it, with .json at its end, for all their lines.",
)
@click.option("--without-soak", is_flag=True, help="Kills and accidents, and a short soak.")
@click.option(
    "--at-once",
    default=AT_ONCE,
    show_default=True,
    help="Tests side by side, but for the whole soak: they mostly wait.",
)
def main(
    *,
    names: tuple[str, ...],
    times: int,
    soak: bool,
    seed: int,
    kills: bool,
    without_soak: bool,
    at_once: int,
    path: Path | None,
) -> None:
    """Have everything fail that can, and print what came of it: lost and doubled have to be 0.

    Exit status 1 says that they were not, or that a test has failed otherwise.
    """
    if sum([bool(names), soak, kills, without_soak]) > 1:
        raise click.UsageError("Accidents by name, --soak, --kills and --without-soak: one of them")
    parts = _parts(names, soak=soak, kills=kills, without_soak=without_soak, at_once=at_once)
    runs: list[list[Line]] = []
    has_failed = False
    for number in range(1, times + 1):
        begin = time.monotonic()
        done = [_run([*part, run.SEED, str(seed)]) for part in parts]
        lines = sorted(chain.from_iterable(each for _, each in done), key=_place)
        # None of them may fail, and the first that does tells how.
        status = next((each for each, _ in done if each), 0)
        runs.append(lines)
        has_failed = has_failed or status != 0
        took = (time.monotonic() - begin) / 60
        verdict = "All holds." if status == 0 else f"It has failed: pytest ended with {status}."
        _tell(f"Run {number} of {times}, {took:.1f} minutes\n{table(lines)}\n{verdict}\n", path)
    if times > 1:
        by_fault: dict[str, list[Line]] = defaultdict(list)
        for line in chain.from_iterable(runs):
            by_fault[line.fault].append(line)
        sums = [over_all(each) for each in by_fault.values()]
        _tell(f"All {times} runs; the seconds are the longest\n{table(sums)}\n", path)
    if path is not None:
        told = [[asdict(line) for line in lines] for lines in runs]
        path.with_name(f"{path.name}.json").write_text(json.dumps(told, indent=1))
    sys.exit(has_failed)


def _run(arguments: Sequence[str]) -> tuple[int, list[Line]]:
    """One run by a pytest of its own: its exit status, and the lines."""
    with NamedTemporaryFile("r") as file:
        command = [sys.executable, "-m", "pytest", "-p", run.__name__, run.LINES, file.name]
        done = subprocess.run([*command, *arguments], check=False)
        told = [json.loads(line) for line in file]
    return done.returncode, [
        Line(**{**each, "complaints": tuple(each["complaints"])}) for each in told
    ]


def _parts(
    names: Sequence[str], *, soak: bool, kills: bool, without_soak: bool, at_once: int
) -> list[list[str]]:
    """The arguments of each pytest of a run, one after the other."""
    accidents = str(FOLDER / "test_soak.py")
    whole_soak = [*COMMON, "-n", "0", f"{accidents}::{WHOLE_SOAK}"]
    number = min(at_once, len(names) or at_once)
    # Who has nothing left to do takes some of what others have before them, for a stage of his own.
    side_by_side = [*COMMON, "-n", str(number), "--dist", "worksteal"]
    if names:
        return [[*side_by_side, *(f"{accidents}::test_an_accident[{name}]" for name in names)]]
    if soak:
        return [whole_soak]
    if kills:
        return [[*side_by_side, str(FOLDER), f"--ignore={accidents}"]]
    others = [*side_by_side, str(FOLDER), "-k", f"not {WHOLE_SOAK}"]
    return [others] if without_soak else [others, whole_soak]


def _place(line: Line) -> tuple[int, str]:
    """Accidents in their order, and all else by name."""
    order = [*ACCIDENTS]
    return (order.index(line.fault), "") if line.fault in order else (len(order), line.fault)


def _tell(text: str, path: Path | None) -> None:
    click.echo(text)
    if path is not None:
        with path.open("a") as file:
            file.write(f"{text}\n")


if __name__ == "__main__":
    main()
