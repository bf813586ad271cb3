"""``python -m tests.benchmarks``: measure, show, and say by the exit status whether bounds hold."""

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, log_to_nowhere
from tests.benchmarks.registry import BENCHMARKS

NAMES = "\n".join(f"  {name:12} {each.summary}" for name, each in BENCHMARKS.items())

#: Rows, more rows, samples.
QUICK = (20_000, 100_000, 50)


@click.command(epilog=f"\b\nBenchmarks, all of them unless some are named:\n{NAMES}")
@click.argument("names", nargs=-1, type=click.Choice(list(BENCHMARKS)), metavar="[NAME]...")
@click.option("--rows", default=1_000_000, show_default=True, help="Requests in the table.")
@click.option(
    "--more-rows", default=10_000_000, show_default=True, help="The same where growth is measured."
)
@click.option("--samples", default=2_000, show_default=True, help="Of each side of a comparison.")
@click.option("--quick", is_flag=True, help="Small and soon over; no bound is judged.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, exists=True, path_type=Path),
    help="Where the databases go for the time, up to 20 GB. In memory, durability costs nothing.",
)
def main(
    *,
    names: tuple[str, ...],
    rows: int,
    more_rows: int,
    samples: int,
    quick: bool,
    as_json: bool,
    folder: Path | None,
) -> None:
    """Measure what requests cost, side by side with what nobody can do without.

    Exit status 1 says that a bound was missed.
    """
    if quick:
        rows, more_rows, samples = QUICK
    log_to_nowhere()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        place = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="video-bot-benchmarks-", dir=folder)
        )
        # As root the server runs as nobody, who must be able to get in.
        Path(place).chmod(0o711)
        ground = Ground(Path(place), rows, more_rows, samples, quick, _say, stack)
        found = _run([name for name in BENCHMARKS if name in (names or BENCHMARKS)], ground)
    if quick:
        found = [replace(each, bound=None) for each in found]
    if as_json:
        print(report.as_json(found))
    else:
        report.table(found, Console())
    sys.exit(any(each.holds is False for each in found))


def _run(names: list[str], ground: Ground) -> list[Comparison]:
    found = []
    for name in names:
        ground.say(f"{name}: {BENCHMARKS[name].summary}")
        found += BENCHMARKS[name].run(ground)
    return found


_begun = time.monotonic()


def _say(line: str) -> None:
    """Progress, on stderr, so that stdout holds the figures alone."""
    click.echo(f"{time.monotonic() - _begun:6.0f} s  {line}", err=True)


if __name__ == "__main__":
    main()
