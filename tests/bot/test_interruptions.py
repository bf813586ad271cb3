"""An interruption is heard wherever it falls, even where Python forgets one."""

import signal
import sys

import pytest

from tests.bot.running import run

LOST_AND_FOUND = """
import signal
from bot.cli.interruptions import heard

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


def test_who_was_started_deaf_to_a_hangup_stays_so() -> None:
    found = run(argv=[sys.executable, "-c", DEAF], env={})
    assert (found.returncode, found.stdout) == (0, "went on\n")


def test_a_hangup_is_an_interruption_to_everybody_else() -> None:
    script = DEAF.replace("SIG_IGN", "SIG_DFL")
    found = run(argv=[sys.executable, "-c", script], env={})
    assert found.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in found.stderr
