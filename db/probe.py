"""Access to Postgres for those who must have an answer soon, however it stands (HT1).

A probe queues behind nobody: it takes no connection of a pool, but one of its own, each time.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from typing import Any, Final

import psycopg2
from psycopg2 import extensions
from sqlalchemy import Connection, NullPool, create_engine, text

from db import migrate
from db.embedded_binaries import OLDEST
from db.engine import translated, wait
from db.errors import DatabaseError, DatabaseUnavailable
from db.settings import DatabaseSettings

STATEMENT_TIMEOUT_MS: Final = 1000

_VERSION: Final = text(
    """
    SELECT current_setting('server_version'),
      current_setting('server_version_num')::integer
    """
)

_deadline: Final[ContextVar[float]] = ContextVar("deadline")


class _Hasty(extensions.connection):
    """A libpq connection that waits until the deadline of its probe, and no longer."""

    @property
    def answer_timeout(self) -> float:
        """Seconds left."""
        return _deadline.get() - time.monotonic()


class Probe:
    """Where to ask. It holds no connection."""

    def __init__(self, settings: DatabaseSettings) -> None:
        extensions.set_wait_callback(wait)
        engine = create_engine(
            settings.url,
            poolclass=NullPool,
            hide_parameters=True,
            connect_args={
                "connection_factory": _Hasty,
                "application_name": f"video-bot {os.getpid()} probe",
                # What nobody waits for any more is not to go on.
                "options": f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c timezone=UTC",
            },
        )
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def connect(self, within: timedelta) -> Iterator[Connection]:
        """A connection whose opening, and every statement of the block, end `within` this time.

        Only the look-up of the server's name is not bounded. Each statement stands for itself.
        Raises DatabaseUnavailable, or a bare DatabaseError where Postgres refuses a statement.
        """
        before = _deadline.set(time.monotonic() + within.total_seconds())
        try:
            with translated(), self._engine.connect() as connection:
                yield connection
        finally:
            _deadline.reset(before)


def ping(conn: Connection) -> None:
    """Have Postgres answer."""
    conn.execute(text("SELECT 1"))


def require_writable(conn: Connection) -> None:
    """Raise DatabaseUnavailable where Postgres only reads, as at a failover."""
    if conn.execute(text("SHOW transaction_read_only")).scalar_one() == "on":
        raise DatabaseUnavailable("Postgres takes no writes")


def version(conn: Connection) -> str:
    """That of Postgres. Raises DatabaseError where it is older than this program can do with."""
    told, number = conn.execute(_VERSION).one()
    if number < OLDEST * 10_000:
        raise DatabaseError(f"PostgreSQL {told} is older than {OLDEST}")
    return str(told).split()[0]


def now(conn: Connection) -> datetime:
    """Postgres' own time."""
    found: datetime = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found


def pending_migrations(conn: Connection) -> tuple[str, ...]:
    """The migrations that this program knows and the database lacks.

    Raises DatabaseUnavailable where Postgres does not say.
    """
    raw: Any = conn.connection.driver_connection
    try:
        return migrate.pending(raw)
    except psycopg2.Error as error:
        raise DatabaseUnavailable(str(error).strip()) from None
