"""Child processes that never outlive us, and the account they run as when we are root."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

#: <linux/prctl.h>: the signal this process gets when its parent dies.
PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Account:
    """A user of this machine."""

    name: str
    uid: int
    gid: int


def unprivileged_account() -> Account | None:
    """The account for servers that refuse to run as root: `nobody`; None when we are not root.

    Raises KeyError if we are root and the machine knows no `nobody`.
    """
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def spawn(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: Account | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C in a terminal reaches only us.

    On Linux the kernel sends it `death_signal` when we die, whatever kills us. It does so when
    the *thread* that called this ends: call it from one that lives as long as the child should.
    Elsewhere a child survives our SIGKILL.

    `user` may be given by root only, and leaves the child in that account's own group alone.
    `env` replaces our environment. The child reads nothing: its stdin is /dev/null.

    Raises OSError if it cannot be started.
    """
    return subprocess.Popen(
        argv,
        env=env,
        cwd=cwd,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        # It runs after the change of user, which is needed: a change of credentials clears
        # what it sets. It does too little to meet the locks that make preexec_fn a danger.
        preexec_fn=_death_request(death_signal),
    )


def _death_request(death_signal: signal.Signals) -> Callable[[], None] | None:
    """What a child does to be sent `death_signal` when this process dies; None if it cannot."""
    if sys.platform != "linux":
        return None
    # Loaded here, for nothing should be loaded between fork and exec.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_the_kernel() -> None:
        prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            # The parent died before the kernel knew of our wish.
            os._exit(1)

    return ask_the_kernel


def run(
    argv: Sequence[str | Path],
    *,
    user: Account | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path = Path("/"),
    timeout: float = 60.0,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it printed (stdout and stderr together).

    `timeout` is in seconds; after it the command is killed and subprocess.TimeoutExpired raised.
    Raises OSError if the command cannot be started.
    """
    with spawn(
        argv, user=user, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            output, _ = process.communicate(timeout=timeout)
        except BaseException:
            stop(process, first=signal.SIGKILL, grace=0)
            raise
    return subprocess.CompletedProcess(argv, process.returncode, output.decode(errors="replace"))


def stop(
    process: subprocess.Popen[bytes],
    *,
    first: signal.Signals = signal.SIGTERM,
    grace: float,
) -> int:
    """Stop a child made by `spawn`: `first`, up to `grace` seconds, SIGKILL of its whole group.

    Returns its return code. Harmless on a child that has ended. When the wait itself is
    interrupted (a second Ctrl-C), the child is killed at once and the interruption goes on.
    """
    try:
        # Popen looks for an end before it signals, so no stranger with that number is met.
        process.send_signal(first)
        with suppress(subprocess.TimeoutExpired):
            process.wait(grace)
    finally:
        if process.poll() is None:
            # Not reaped, so the number of the group is still ours.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return process.returncode


def command_line(pid: int) -> str:
    """The command of any process, its arguments parted by spaces; empty if there is none."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ")
        except OSError:
            return ""
    return run(["ps", "-ww", "-o", "command=", "-p", str(pid)]).stdout.strip()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on. Somebody may take it at any moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nobody listens on this TCP port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
