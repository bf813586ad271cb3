"""Postgres and Redis of a system's own, which can be killed and started anew as they were."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil
import psycopg2
from redis import Redis, RedisError

from db import embedded, migrate, processes
from tests.bot.running import listener
from tests.conftest import QUICK
from tests.workers.waiting import until

CONNECTIONS: Final = 60
"""Of Postgres in all; what a system of two workers and a bot takes is far less."""
FAST, IMMEDIATE = signal.SIGINT, signal.SIGQUIT
"""How Postgres may be told to end: sessions are closed, or left as they are."""
STOPS_WITHIN: Final = 20.0
"""Seconds."""


class Server:
    """Who listens at an address. It comes back at the same port, with the same data."""

    def __init__(self, url: str, *arguments: str) -> None:
        self.url = url
        self._process = listener(url)
        #: Redis shows another command than it was started with.
        self._command = [self._process.exe(), *arguments] if arguments else self._process.cmdline()
        self._environment = self._process.environ()
        self.folder = Path(self._process.cwd())
        self._user = processes.unprivileged_account() if self._process.uids().real else None
        self._anew: subprocess.Popen[bytes] | None = None

    def everybody(self) -> list[psutil.Process]:
        """Its processes."""
        with suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal that ends it, and wait until it has."""
        self._process.send_signal(number)
        if self._anew is not None:
            self._anew.wait(STOPS_WITHIN)
        self._process.wait(STOPS_WITHIN)

    def start(self) -> None:
        """Start it anew."""
        self._anew = processes.spawn(
            self._command,
            env=self._environment,
            cwd=self.folder,
            user=self._user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            death_signal=signal.SIGINT,
        )
        self._process = psutil.Process(self._anew.pid)
        until(self._answers, what="the server answers")

    def close(self) -> None:
        """Stop the one that was started anew; who started the first one stops that."""
        if self._anew is not None:
            processes.stop(self._anew, first=FAST, grace=STOPS_WITHIN)

    def _answers(self) -> bool:
        if self.url.startswith("redis"):
            with suppress(RedisError), closing(Redis.from_url(self.url)) as client:
                return bool(client.ping())
        else:
            with suppress(psycopg2.OperationalError):
                psycopg2.connect(self.url, connect_timeout=1).close()
                return True
        return False


@contextmanager
def postgres(folder: Path) -> Iterator[Server]:
    """A migrated one, for the block."""
    # As root the server runs as nobody, who must be able to get in.
    folder.chmod(0o711)
    # What it has confirmed outlives the death of its processes, if not the machine's.
    settings = QUICK | {"max_connections": str(CONNECTIONS), "synchronous_commit": "on"}
    with embedded.postgres(folder, durable=False, settings=settings) as url:
        migrate.migrate(url, lambda _line: None)
        with closing(Server(url)) as found:
            yield found


@contextmanager
def keeping(url: str) -> Iterator[Server]:
    """The Redis that runs there, which from now on keeps all it has, as that of compose does."""
    with closing(Redis.from_url(url)) as client:
        client.config_set("appendonly", "yes")
        configuration = str(client.info("server")["config_file"])
        until(
            lambda: not client.info("persistence")["aof_rewrite_in_progress"],
            what="all is written",
        )
    with closing(Server(url, configuration, "--appendonly", "yes")) as found:
        yield found


def forget(redis: Server) -> None:
    """Remove all that a Redis has kept, while it is stopped."""
    shutil.rmtree(redis.folder / "appendonlydir", ignore_errors=True)
    for file in redis.folder.glob("*.aof"):
        file.unlink()
