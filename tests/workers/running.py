"""Real processes of ours, and what they say."""

import json
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from db import processes
from tests import warm

if TYPE_CHECKING:
    from subprocess import Popen

from tests.workers.waiting import PATIENCE, until

_OF_A_SIGNAL: Final = re.compile(r"(worker: .* shutdown \(MainProcess\))?$")

WARM: Final = ("worker", "beat", "bot")
"""Those that need not load themselves first."""


class Process:
    """A long-running command of ours as a real process, its log in a file."""

    #: What is run.
    module = "bot.cli"

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._path = log
        self._process: Popen[bytes] | warm.Warm
        if warm.IS_ON and self.module == "bot.cli" and command[0] in WARM:
            self._process = warm.start(
                command, env=environment, cwd=log.parent, stdout=log, stderr=log
            )
            return
        with log.open("ab") as lines:
            argv = [sys.executable, "-m", self.module, *command]
            self._process = processes.spawn(
                argv, env=environment, cwd=log.parent, stdout=lines, stderr=lines
            )

    @property
    def log(self) -> str:
        """All it has said, on stdout and stderr."""
        return self._path.read_text()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The lines of its log; every one is JSON, but what Celery says of a signal."""
        text, _, _ = self.log.rpartition("\n")
        return [json.loads(line) for line in text.splitlines() if not _OF_A_SIGNAL.match(line)]

    def said(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines of an event of ours that have these fields."""
        return [
            line for line in self.lines if line["event"] == event and fields.items() <= line.items()
        ]

    @property
    def pid(self) -> int:
        """The main process, which is its group too."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def children(self) -> set[int]:
        """The processes of its pool."""
        return {child.pid for child in psutil.Process(self.pid).children(recursive=True)}

    def freeze(self) -> None:
        """Stop it where it stands, children and all."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self.pid, signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def wait(self, *, within: float = PATIENCE) -> int:
        """Its exit status, once it has ended."""
        return self._process.wait(within)

    def kill(self) -> None:
        """SIGKILL it, main process and children at once. Harmless when it has ended."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(PATIENCE)


class Worker(Process):
    """A worker; it is ready when it is made."""

    def __init__(self, environment: Mapping[str, str], log: Path, *, concurrency: int = 2) -> None:
        super().__init__(["worker", "--concurrency", str(concurrency)], environment, log)
        try:
            until(self._is_ready, what="the worker is ready")
        except BaseException:
            self.kill()
            raise

    def _is_ready(self) -> bool:
        log = self.log
        assert self.status is None, f"The worker has ended:\n{log}"
        return " ready." in log

    @cached_property
    def name(self) -> str:
        """As Celery knows it."""
        [name] = {
            line["event"].removesuffix(" ready.")
            for line in self.lines
            if line["event"].endswith(" ready.")
        }
        return str(name)


class Hasty(Worker):
    """One that has no more than a moment to end, and whose messages come back after a moment."""

    module = "tests.workers.hasty"

    def __init__(self, environment: Mapping[str, str], log: Path, *, concurrency: int = 2) -> None:
        given = {**environment, "PYTHONPATH": str(warm.ROOT)}
        super().__init__(given, log, concurrency=concurrency)
