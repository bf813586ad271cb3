"""What every test may use: an environment of its own, and a database of its own."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg2
import pytest
from hypothesis import settings
from pytest_postgresql.janitor import DatabaseJanitor
from sqlalchemy import URL, make_url

from db import embedded, migrate, slow_queries
from db.engine import Database
from db.settings import DatabaseSettings

MakeDatabase = Callable[..., AbstractContextManager[str]]

VARIABLES = [
    "DATABASE_URL",
    "DATABASE_MAX_CONNECTIONS",
    "DATABASE_OUTAGE",
    "REDIS_URL",
    "REQUEST_RETENTION_DAYS",
    "DAILY_LIMIT",
    "MONTHLY_QUOTA",
    "FAILED_REQUESTS_COUNT",
    "GENERATION_TIMEOUT_SECONDS",
    "RESCUE_AFTER_SECONDS",
    "VIDEO_PROVIDER",
    "VIDEO_STORAGE",
    "OUTPUT_DIR",
    "SANDBOX_SECONDS",
    "SANDBOX_OUTCOME",
    "SANDBOX_PRICE_PER_SECOND",
    "SANDBOX_STARTS_PER_MINUTE",
    "GCS_LINKS",
    "STORAGE_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "DISCORD_TOKEN",
    "DISCORD_API_URL",
    "DISCORD_GUILD_ID",
    "ALLOWED_CHANNEL_IDS",
    "BLOCKED_WORDS",
    "GOOGLE_CLOUD_PROJECT",
    "GOOGLE_CLOUD_LOCATION",
    "VEO_MODEL",
    "VEO_STARTS_PER_MINUTE",
    "GCS_BUCKET",
    "GOOGLE_VERTEX_BASE_URL",
    "FLOWER_BASIC_AUTH",
    "FLOWER_COOKIE_SECRET",
    "FLOWER_DB",
    "FLOWER_URL_PREFIX",
    "METRICS_TOKEN",
    "PORT",
    "LOG_FORMAT",
    "LOG_LEVEL",
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGDATABASE",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGOPTIONS",
]

#: Cloning a database writes its pages to the log, which nobody here will ever read: a third of the
#: time without.
QUICK = {
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "wal_init_zero": "off",
    "max_wal_size": "256MB",
}

# The same examples every time, whatever the machine; a failure is found again by running again.
settings.register_profile("tests", deadline=None, derandomize=True, database=None)
settings.load_profile("tests")


@pytest.fixture(scope="session", autouse=True)
def _no_variables() -> Iterator[None]:
    """No variable of the developer's shell reaches a test or a process that a test starts."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        yield


@pytest.fixture(autouse=True)
def _no_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor does the developer's .env."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _no_slow_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine's slow query is not among the lines that a test expects here."""
    monkeypatch.setattr(slow_queries, "perf_counter", lambda: 0.0)


@pytest.fixture(scope="session")
def server() -> Iterator[URL]:
    """The address of the one embedded Postgres of the whole run."""
    with tempfile.TemporaryDirectory(prefix="video-bot-tests-", dir=_memory()) as folder:
        # As root the server runs as nobody, who must be able to get in.
        Path(folder).chmod(0o711)
        with embedded.postgres(Path(folder), durable=False, settings=QUICK) as address:
            yield make_url(address)


@pytest.fixture(scope="session")
def make_database(server: URL) -> MakeDatabase:
    """Make a database for a block: empty, or a copy of another. It gives the address."""

    @contextmanager
    def make(template: str | None = None) -> Iterator[str]:
        address = server.set(database=f"test_{uuid.uuid4().hex}")
        with DatabaseJanitor(
            user=address.username or "",
            password=str(address.password),
            host=address.host or "",
            port=address.port or 0,
            dbname=address.database or "",
            template_dbname=template,
        ):
            yield address.render_as_string(hide_password=False)

    return make


@pytest.fixture(scope="session")
def template(make_database: MakeDatabase) -> Iterator[str]:
    """The name of a migrated database, which nobody uses but to copy it."""
    with make_database() as address:
        migrate.migrate(address, lambda _line: None)
        yield str(make_url(address).database)


@pytest.fixture
def database_url(make_database: MakeDatabase, template: str) -> Iterator[str]:
    """The address of a migrated database of the test's own, for it and processes it starts."""
    with make_database(template) as address:
        yield address


@pytest.fixture
def empty_database_url(make_database: MakeDatabase) -> Iterator[str]:
    """The address of a database of the test's own with nothing in it."""
    with make_database() as address:
        yield address


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The test's database, as a process of ours sees it."""
    found = Database(DatabaseSettings.model_validate({"database_url": database_url}))
    yield found
    found.close()


@pytest.fixture
def outsider(database_url: str) -> Iterator[psycopg2.extensions.connection]:
    """A connection that is none of ours: somebody with psql, in transactions of their own."""
    connection = psycopg2.connect(database_url)
    yield connection
    connection.close()


def _memory() -> Path | None:
    """Where files are in memory, if there is room: on a busy disk all takes three times as long."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or not os.access(memory, os.W_OK):
        return None
    has_room = shutil.disk_usage(memory).free > 2 * 2**30
    # The wheel's binaries may have to be copied there, and run.
    return memory if has_room and not os.statvfs(memory).f_flag & os.ST_NOEXEC else None
