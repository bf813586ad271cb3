"""An interruption is heard wherever it falls, even where Python forgets one."""

import signal
import sys
from pathlib import Path

import pytest

from tests.bot.running import run

LOST_AND_FOUND = """
import signal
from bot.cli.interruptions import heard

# Whoever runs the tests may be deaf to one of them, as under nohup.
for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(each, signal.SIG_DFL)

class Last:
    def __del__(self):
        signal.raise_signal(signal.{name})

try:
    with heard():
        Last()
        print("went on", flush=True)
        signal.pause()
except KeyboardInterrupt:
    print("heard")
"""

TRANSLATED = """
import signal, sys
import click
from bot import cli
from bot.cli import commands

@commands.cli.command()
def lose() -> None:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise RuntimeError("This connection is closed") from None

sys.argv = ["video-bot", "lose"]
cli.main()
"""

LATE = """
import atexit, signal, sys
from bot import cli
from bot.cli import commands

class Last:
    def __del__(self):
        raise KeyboardInterrupt

def lose():
    Last()
    return 4

commands.run = lose
# The interruption that was lost would come again now; and a person presses Ctrl-C again.
atexit.register(signal.sigtimedwait, {signal.SIGUSR1}, 0.3)
atexit.register(signal.raise_signal, signal.SIGINT)
cli.main()
"""

IMPORTING = """
import signal
from bot import cli
from bot.cli import commands

def run():
    exec("signal.raise_signal(signal.SIGINT)")

commands.run = run
cli.main()
"""

DEAF = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from bot.cli.interruptions import heard
with heard():
    signal.raise_signal(signal.SIGHUP)
    print("went on")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interruption_that_falls_into_a_destructor_comes_again(name: str) -> None:
    script = LOST_AND_FOUND.format(name=name)
    found = run(argv=[sys.executable, "-c", script], env={}, seconds=20)
    assert (found.returncode, found.stdout, found.stderr) == (0, "went on\nheard\n", "")


def test_any_other_error_of_a_destructor_is_told_as_ever() -> None:
    script = LOST_AND_FOUND.replace("signal.raise_signal(signal.{name})", "raise ValueError(42)")
    script = script.replace("signal.pause()", "pass")
    found = run(argv=[sys.executable, "-c", script], env={})
    assert found.stdout == "went on\n"
    assert "ValueError: 42" in found.stderr


def test_what_a_library_makes_of_an_interruption_is_one() -> None:
    found = run(argv=[sys.executable, "-c", TRANSLATED], env={})
    assert (found.returncode, found.stderr.strip()) == (130, "")


def test_an_interruption_of_an_import_ends_with_the_same_status(tmp_path: Path) -> None:
    # The module is run with -m, and interrupted where dataclasses and the like are made.
    (tmp_path / "importing.py").write_text(IMPORTING)
    found = run(argv=[sys.executable, "-m", "importing"], env={"PYTHONPATH": str(tmp_path)})
    assert (found.returncode, found.stderr) == (130, "")


def test_an_interruption_of_the_exit_changes_nothing() -> None:
    found = run(argv=[sys.executable, "-c", LATE], env={})
    assert (found.returncode, found.stderr) == (4, "")


def test_who_was_started_deaf_to_a_hangup_stays_so() -> None:
    found = run(argv=[sys.executable, "-c", DEAF], env={})
    assert (found.returncode, found.stdout) == (0, "went on\n")


def test_a_hangup_is_an_interruption_to_everybody_else() -> None:
    script = DEAF.replace("SIG_IGN", "SIG_DFL")
    found = run(argv=[sys.executable, "-c", script], env={})
    assert found.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in found.stderr
