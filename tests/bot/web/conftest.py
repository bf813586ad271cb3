"""A web process with a Postgres and a Redis of its own, which a test may freeze, close and kill."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest
from sqlalchemy import make_url

from db import embedded, migrate
from db.processes import free_port
from tests.bot.running import Running, assert_nothing_left, listener, started, until
from tests.bot.web.client import Answer, get
from workers.embedded import redis


@dataclass
class Site:
    """The process, its two servers, and what can be done to them."""

    port: int
    running: Running
    database_url: str
    redis_url: str
    postgres: psutil.Process
    redis: psutil.Process

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        return get(self.port, path, method=method, **headers)

    def wait_for(self, path: str, status: int) -> Answer:
        """The answer, once it has this status: what was asked a moment ago may still stand."""

        def look() -> Answer | None:
            found = self.get(path)
            return found if found.status == status else None

        return until(look, f"{path} answering {status}")

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """Postgres lets nobody into the database."""
        url = make_url(self.database_url)
        address = url.set(database="postgres").render_as_string(hide_password=False)
        with closing(psycopg2.connect(address)) as elsewhere, elsewhere.cursor() as cursor:
            elsewhere.autocommit = True
            cursor.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS false')
            try:
                yield
            finally:
                cursor.execute(f'ALTER DATABASE "{url.database}" ALLOW_CONNECTIONS true')

    def threads(self) -> int:
        return psutil.Process(self.running.process.pid).num_threads()

    def connections(self, url: str) -> int:
        """How many connections the process has to the server at this address.

        One that the server has closed may not be closed here yet.
        """
        port = make_url(url).port
        process = psutil.Process(self.running.process.pid)
        return sum(
            each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port
            for each in process.net_connections()
        )


@contextmanager
def new_site(folder: Path, **environment: str) -> Iterator[Site]:
    """A web process that is ready."""
    with ExitStack() as stack:
        database_url = stack.enter_context(embedded.postgres(folder, durable=False))
        redis_url = stack.enter_context(redis(folder, durable=False))
        migrate.migrate(database_url, lambda _line: None)
        port = free_port()
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "PORT": str(port),
            **environment,
        }
        running = stack.enter_context(started("web", env=env))
        running.wait_for("Started server process")
        servers = listener(database_url), listener(redis_url)
        site = Site(port, running, database_url, redis_url, *servers)
        site.wait_for("/health/ready", 200)
        yield site


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """One that is well again after every test."""
    with tempfile.TemporaryDirectory(prefix="video-bot-web-") as folder:
        # As root the servers run as nobody, who must be able to get in.
        Path(folder).chmod(0o711)
        with new_site(Path(folder)) as found:
            yield found
        assert_nothing_left(Path(folder))
