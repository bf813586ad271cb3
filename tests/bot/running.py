"""Our own commands as real processes, watched from outside."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
from sqlalchemy import make_url

from tests import warm

T = TypeVar("T")

LIMIT = 60.0
"""Seconds that anything here may take on a busy machine before it counts as hanging."""

COMMAND = [sys.executable, "-m", "bot.cli"]


def until(look: Callable[[], T | None], what: str, *, seconds: float = LIMIT) -> T:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        if found := look():
            return found
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.02)


class Running:
    """A process whose lines are read as they come."""

    def __init__(
        self, arguments: Sequence[str], env: Mapping[str, str], argv: Sequence[str] | None = None
    ) -> None:
        self.lines: dict[str, list[str]] = {"stdout": [], "stderr": []}
        self._readers = []
        with ExitStack() as stack:
            ends: dict[str, int] = {}
            for name in self.lines:
                end, ends[name] = os.pipe()
                stack.callback(os.close, ends[name])
                reader = threading.Thread(target=self._read, args=(name, end), daemon=True)
                reader.start()
                self._readers.append(reader)
            self.process = _begun(
                arguments, {**os.environ, "PYTHONFAULTHANDLER": "1", **env}, argv, ends
            )

    def _read(self, name: str, end: int) -> None:
        with open(end, "rb") as stream:
            for line in stream:
                self.lines[name].append(line.decode(errors="replace").rstrip("\n"))

    @property
    def stdout(self) -> str:
        return "\n".join(self.lines["stdout"])

    @property
    def stderr(self) -> str:
        return "\n".join(self.lines["stderr"])

    @property
    def output(self) -> str:
        return f"{self.stdout}\n--- stderr\n{self.stderr}"

    def wait_for(self, pattern: str, *, seconds: float = LIMIT) -> re.Match[str]:
        """The first match of `pattern` in what it says, once it says so."""

        def look() -> re.Match[str] | None:
            has_ended = self.process.poll() is not None
            if has_ended:
                self._drain()
            for lines in list(self.lines.values()):
                for line in list(lines):
                    if match := re.search(pattern, line):
                        return match
            assert not has_ended, (
                f"It ended ({self.process.returncode}) without saying {pattern}:\n{self.output}"
            )
            return None

        try:
            return until(look, f"Saying {pattern}", seconds=seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def end(self, *signals: signal.Signals, seconds: float = LIMIT) -> int:
        """Send it `signals` and wait for its end; its exit status."""
        for each in signals:
            self.process.send_signal(each)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"It did not end within {seconds} s:\n{self.output}") from None
        self._drain()
        return status

    def _drain(self) -> None:
        """Wait for its last lines; a child that holds on to its output does not hold us up."""
        for reader in self._readers:
            reader.join(5)

    def descendants(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


@contextmanager
def started(
    *arguments: str, env: Mapping[str, str], argv: list[str] | None = None
) -> Iterator[Running]:
    """One of our commands, for the block; whatever it left running is killed with it."""
    running = Running(arguments, env, argv)
    try:
        yield running
    finally:
        for process in running.descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        running.process.kill()
        running.process.wait()
        running._drain()


def _begun(
    arguments: Sequence[str],
    env: Mapping[str, str],
    argv: Sequence[str] | None,
    ends: Mapping[str, int],
) -> subprocess.Popen[bytes] | warm.Warm:
    """The process, which writes into these ends of pipes."""
    if argv is None and warm.IS_ON:
        ours = Path("/proc", str(os.getpid()), "fd")
        stdout, stderr = (ours / str(ends[name]) for name in ("stdout", "stderr"))
        return warm.start(arguments, env=env, cwd=Path.cwd(), stdout=stdout, stderr=stderr)
    return subprocess.Popen(
        [*(argv or COMMAND), *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=ends["stdout"],
        stderr=ends["stderr"],
        start_new_session=True,
    )


def run(
    *arguments: str | bytes,
    env: Mapping[str, str],
    argv: list[str] | None = None,
    seconds: float = LIMIT,
) -> subprocess.CompletedProcess[str]:
    """One of our commands, from its start to its end."""
    if argv is None and warm.IS_ON and all(isinstance(each, str) for each in arguments):
        return _run_warm([str(each) for each in arguments], {**os.environ, **env}, seconds)
    command: list[str | bytes] = [*(argv or COMMAND), *arguments]
    return subprocess.run(
        command,
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
        start_new_session=True,
        check=False,
        text=True,
    )


def _run_warm(
    arguments: list[str], env: Mapping[str, str], seconds: float
) -> subprocess.CompletedProcess[str]:
    with tempfile.TemporaryDirectory(prefix="video-bot-run-") as folder:
        stdout, stderr = (Path(folder) / name for name in ("stdout", "stderr"))
        process = warm.start(arguments, env=env, cwd=Path.cwd(), stdout=stdout, stderr=stderr)
        try:
            status = process.wait(seconds)
        except BaseException:
            process.send_signal(signal.SIGKILL)
            process.wait()
            raise
        return subprocess.CompletedProcess(
            arguments, status, stdout.read_text(), stderr.read_text()
        )


def on_a_terminal(*arguments: str, env: Mapping[str, str], answer: str = "") -> tuple[int, str]:
    """The command in front of a person who answers its one question, if it has one."""
    ours, theirs = pty.openpty()
    said = ""
    try:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            env={**os.environ, **env},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        while answer and "[y/N]" not in said:
            said += os.read(ours, 4096).decode()
        os.write(ours, answer.encode())
        try:
            while more := os.read(ours, 4096):
                said += more.decode()
        except OSError:
            pass  # how Linux tells that nobody holds the terminal any more
        return process.wait(60), said
    finally:
        os.close(ours)


def listener(url: str) -> psutil.Process:
    """The server that listens there, one of our children."""
    port = make_url(url).port
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            for each in process.net_connections():
                if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                    return process
    raise AssertionError(f"Nobody listens on {port}")


@contextmanager
def frozen(server: psutil.Process) -> Iterator[None]:
    """All of a server stands still for the block, and its socket goes on to take connections."""
    processes = [server, *server.children(recursive=True)]
    for each in processes:
        each.suspend()
    try:
        yield
    finally:
        for each in processes:
            with suppress(psutil.NoSuchProcess):
                each.resume()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Whoever was told of `folder` or works in it: commands, servers, their children."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            told = [*process.cmdline(), *process.environ().values(), process.cwd()]
            if any(str(folder) in each for each in told):
                found.append(process)
    return found


def assert_nothing_left(folder: Path, *, seconds: float = 0) -> None:
    """No process of `folder` lives; after a SIGKILL they have `seconds` to notice."""
    deadline = time.monotonic() + seconds
    while left := processes_of(folder):
        if time.monotonic() > deadline:
            raise AssertionError("\n".join([*map(told, left), last_words(left, folder)]))
        time.sleep(0.02)


def last_words(left: Sequence[psutil.Process], folder: Path) -> str:
    """Where these processes stand, as far as they are Python; and the ends of the folder's logs."""
    for process in left:
        with suppress(psutil.NoSuchProcess):
            # Python writes down where all its threads are (PYTHONFAULTHANDLER), and ends.
            process.send_signal(signal.SIGABRT)
            if psutil.wait_procs([process], timeout=5)[1]:
                process.kill()
    logs = sorted(folder.glob("*.log"))
    return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-5000:]}" for log in logs)


def told(process: psutil.Process) -> str:
    """A process, for a message."""
    try:
        return f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{process.pid} has ended"
