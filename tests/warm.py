"""Our command as a process of its own that need not load itself first.

Loading takes about a second of a processor, and the tests start the command hundreds of times. So
one process loads what its subcommands load, does nothing with it, and forks for every start. What
is forked has the environment, folder, streams, session and end that it would have had: all it is
spared is the loading. Tests of how it starts from nothing start it from nothing, and COLD_STARTS=1
has all of them do so. What is measured outside of pytest never comes from here.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from db import processes

ROOT: Final = Path(__file__).parents[1]

IS_ON: Final = (
    sys.platform == "linux" and "PYTEST_VERSION" in os.environ and "COLD_STARTS" not in os.environ
)
"""Elsewhere a process that has loaded this much should not fork."""

MODULES: Final = (
    "bot.cli.commands",
    "bot.cli.admission",
    "bot.cli.figures",
    "bot.cli.links",
    "bot.cli.local",
    "bot.cli.show",
    "bot.discord.running",
    "bot.web.serving",
    "celery.apps.beat",
    "celery.apps.worker",
    "celery.concurrency.prefork",
    "celery.worker.autoscale",
    "celery.worker.consumer",
    "db.migrate",
    "db.statistics",
    "kombu.transport.redis",
    "workers.checks",
    "workers.delivery_tasks",
    "workers.process",
    "workers.providers.sandbox",
    "workers.storage.folder",
    "workers.tasks",
)


class Warm:
    """A process that was forked; to its user, a Popen."""

    def __init__(self, pid: int, nursery: "_Nursery") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._nursery.ask(status_of=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (status := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("video-bot", timeout or 0)
            time.sleep(0.01)
        return status

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: int) -> None:
        # Until it is asked about it keeps its number, though it has ended.
        if self.poll() is None:
            os.kill(self.pid, number)


def start(
    arguments: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdout: Path,
    stderr: Path,
) -> Warm:
    """``video-bot`` with these arguments, in a session of its own. It appends to its streams."""
    nursery = _nursery()
    for stream in (stdout, stderr):
        # Whoever reads it need not wait for the one who is forked.
        stream.touch()
    given = {"env": dict(env), "cwd": str(cwd), "streams": [os.devnull, str(stdout), str(stderr)]}
    pid = nursery.ask(arguments=list(arguments), **given)
    assert isinstance(pid, int), pid
    return Warm(pid, nursery)


class _Nursery:
    """The process that forks, as seen from outside: a line for a line."""

    def __init__(self) -> None:
        argv = [sys.executable, "-m", "tests.warm"]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        # It ends when its stdin does, and with it, on Linux, whatever it has forked.
        self._process = subprocess.Popen(argv, cwd=ROOT, start_new_session=True, text=True, **pipes)
        self._lock = threading.Lock()

    def ask(self, **question: object) -> Any:
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        with self._lock:
            asked.write(f"{json.dumps(question)}\n")
            asked.flush()
            return json.loads(answers.readline())

    def close(self) -> None:
        with self._process:
            pass


@cache
def _nursery() -> _Nursery:
    nursery = _Nursery()
    atexit.register(nursery.close)
    return nursery


def _born() -> dict[str, Any]:
    """What is asked of this process, in a process that was forked for it. The other never ends
    this but with its stdin."""
    for name in MODULES:
        import_module(name)
    gc.collect()
    gc.freeze()
    for line in iter(sys.stdin.readline, ""):
        asked: dict[str, Any] = json.loads(line)
        if "status_of" in asked:
            pid, status = os.waitpid(asked["status_of"], os.WNOHANG)
            _answer(os.waitstatus_to_exitcode(status) if pid else None)
            continue
        die_with_us = processes._death_request(signal.SIGTERM)
        if os.fork() == 0:
            os.setsid()
            if die_with_us is not None:
                die_with_us()
            return asked
    os._exit(0)


def _become(asked: Mapping[str, Any]) -> None:
    """Be what Python would be that was started so, but for what is loaded."""
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    sys.argv = ["video-bot", *asked["arguments"]]
    how = (os.O_RDONLY, *[os.O_WRONLY | os.O_CREAT | os.O_APPEND] * 2)
    try:
        os.chdir(asked["cwd"])
        streams = [os.open(*each, 0o600) for each in zip(asked["streams"], how, strict=True)]
    except OSError as error:
        _answer(str(error))
        raise
    # Whoever asked may close what it has opened for us.
    _answer(os.getpid())
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)


def _answer(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _become(_born())
    runpy.run_module("bot.cli", run_name="__main__", alter_sys=True)
