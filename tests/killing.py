"""Users of an embedded server who are killed, and what becomes of the server."""

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[1]

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has death signals")

_USER = """
import sys
from pathlib import Path
from db import processes
if "without-death-signal" in sys.argv:
    processes._death_request = lambda death_signal: None
folder = Path(sys.argv[1])
{opening}
    print("ready", flush=True)
    sys.stdin.read()
"""


def kill_user_of_a_server(opening: str, folder: Path, *options: str) -> list[psutil.Process]:
    """SIGKILL a process that has a server in `folder`, and return that server's processes.

    `opening` is a with-statement of that process, and what it needs.
    """
    user = subprocess.Popen(
        [sys.executable, "-c", _USER.format(opening=opening), folder, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with user:
        try:
            assert user.stdout
            assert user.stdout.readline() == b"ready\n"
            servers = psutil.Process(user.pid).children(recursive=True)
        finally:
            user.kill()
    assert servers
    return servers


def survivors(servers: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended after ten seconds, the unreaped not counted."""
    _, alive = psutil.wait_procs(servers, timeout=10)
    return [p for p in alive if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
