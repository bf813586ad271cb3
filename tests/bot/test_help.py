"""``video-bot --help``: complete, and there at once."""

import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bot.cli.commands import cli
from bot.cli.numbers import Seconds, Whole
from tests.bot.running import COMMAND, run

#: Those that the main job cannot do without.
COMMANDS = {"demo", "up", "worker", "beat", "flower", "web", "submit", "db"}
#: Whose import takes a tenth of a second or more, or is for one process alone.
HEAVY = {
    "aiohttp",
    "celery",
    "fastapi",
    "flower",
    "google",
    "kombu",
    "prometheus_client",
    "nextcord",
    "psycopg2",
    "pydantic",
    "redis",
    "rich",
    "sqlalchemy",
    "structlog",
    "tornado",
    "uvicorn",
}


def every_command(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from every_command(inner, (*path, name))


def test_it_lists_every_command_and_exit_status() -> None:
    found = run("--help", env={})
    assert (found.returncode, found.stderr) == (0, "")
    _, _, listed = found.stdout.partition("\nCommands:\n")
    assert {line.split()[0] for line in listed.splitlines()} == {*cli.commands}
    assert {*cli.commands} >= COMMANDS
    said = " ".join(found.stdout.split())
    assert (
        "Exit status: 0 success; 1 failure; 2 bad input or settings; 3 refused by a limit; "
        "4 the video failed, was filtered or timed out; 130 interrupted." in said
    )


def test_it_loads_nothing_heavy() -> None:
    found = run("--help", argv=[sys.executable, "-X", "importtime", "-m", "bot.cli"], env={})
    loaded = set(re.findall(r"^import time: .*\| +([\w.]+)$", found.stderr, re.MULTILINE))
    assert "click" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in HEAVY}


def median_seconds(argv: list[str]) -> float:
    def once() -> float:
        begin = time.perf_counter()
        assert run(argv=argv, env={}).returncode == 0
        return time.perf_counter() - begin

    once()
    return statistics.median(once() for _ in range(5))


def test_it_answers_in_under_half_a_second() -> None:
    # How long an empty program takes tells how busy the machine is.
    nothing = median_seconds([sys.executable, "-c", "pass"])
    help_text = median_seconds([sys.executable, "-m", "bot.cli", "--help"])
    assert help_text < max(0.5, 6 * nothing)


@pytest.mark.parametrize("path", [path for path, _ in every_command()], ids=" ".join)
def test_every_command_has_help_worth_reading(path: tuple[str, ...]) -> None:
    command = dict(every_command())[path]
    assert command.help
    assert command.help.split("\n\n")[0].strip().endswith((".", "video."))
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
            assert parameter.help.endswith((".", "]"))


@pytest.mark.parametrize("asked", [["-h"], ["db", "--help"], ["db", "rollback", "-h"]])
def test_help_is_no_failure(asked: list[str]) -> None:
    found = run(*asked, env={})
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.startswith("Usage: ")


def test_the_version_is_told() -> None:
    found = run("--version", env={})
    assert found.returncode == 0
    assert re.search(r"\d+\.\d+\.\d+$", found.stdout)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["paint"], "No such command 'paint'"),
        (["--colour"], "No such option"),
        (["demo", "a red kite", "--colour", "red"], "No such option"),
        (["demo"], "Missing argument 'PROMPT'"),
        (["worker", "--concurrency", "0"], "0 is not in the range"),
        (["beat", "twice"], "unexpected extra argument (twice)"),
    ],
)
def test_what_is_unknown_is_bad_input(wrong: list[str], named: str) -> None:
    found = run(*wrong, env={})
    assert (found.returncode, found.stdout) == (2, "")
    assert named in found.stderr
    assert "Traceback" not in found.stderr


def test_what_is_no_number_is_called_so() -> None:
    asked = [
        (path, option)
        for path, command in every_command()
        for option in command.params
        if isinstance(option.type, Whole | Seconds | click.types.FloatParamType)
    ]
    assert len(asked) >= 8
    for path, option in asked:
        [name] = option.opts
        found = CliRunner().invoke(cli, [*path, name, "many"])
        assert found.exit_code == 2
        assert re.search(
            r"Invalid value for '--[a-z-]+': 'many' is not a valid (integer|number)\.", found.output
        )


@pytest.mark.parametrize("command", ["up", "demo"])
def test_a_folder_without_a_name_is_not_the_one_in_which_one_is(command: str) -> None:
    prompt = ["a red kite"] if command == "demo" else []
    found = CliRunner().invoke(cli, [command, *prompt, "--folder", ""])
    assert found.exit_code == 2
    assert "'--folder': it is empty" in found.output


def test_a_closed_stdout_is_nobody_who_reads() -> None:
    nowhere = {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}
    found = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "check"],
        env={**os.environ, **nowhere},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    # What it would have said is that nothing is there.
    assert (found.returncode, found.stderr) == (1, "")


def test_a_full_disk_is_told_in_a_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [*COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (found.returncode, found.stderr) == (1, "video-bot: No space left on device\n")
