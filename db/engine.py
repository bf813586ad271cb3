"""The engine: a bounded pool of connections that never wait for ever (DG4, DG5).

An engine belongs to one process: make it after the fork, never at import.
"""

import os
import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Final

import psycopg2
import structlog
from psycopg2 import errors, extensions
from sqlalchemy import Connection, Dialect, create_engine, event, text
from sqlalchemy import exc as sa
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from db import slow_queries
from db.errors import DatabaseError, DatabaseUnavailable, NotMigrated, PoolExhausted
from db.settings import DatabaseSettings
from db.telling import hold_back

log = structlog.get_logger(__name__)

POOL_WAIT: Final = timedelta(seconds=10)
IDLE: Final = timedelta(seconds=30)
STATEMENT_TIMEOUT: Final = timedelta(seconds=30)
ANSWER_TIMEOUT: Final = timedelta(seconds=5)
"""A frozen server holds a client past every time-out that the server itself keeps."""
RETRIES: Final = 3
FRESH: Final = 1.0
"""Seconds after its last use for which a connection is not asked whether it lives."""
_USED_AT: Final = "used_at"

#: What a statement meets where a migration has not been applied.
_MISSING: Final = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
)


class _Connection(extensions.connection):
    """A libpq connection that knows how long it may wait for the server."""

    answer_timeout = ANSWER_TIMEOUT.total_seconds()

    def set_isolation_level(self, level: int | str | None) -> None:
        """Begin and end autocommit. There is no other level but the server's own here.

        psycopg2 would tell the server about it both times.
        """
        self.rollback()
        self.autocommit = level == extensions.ISOLATION_LEVEL_AUTOCOMMIT


def wait(connection: Any) -> None:
    """Let libpq wait for its socket, but not for ever. psycopg2 discards the connection then."""
    deadline = time.monotonic() + getattr(
        connection, "answer_timeout", ANSWER_TIMEOUT.total_seconds()
    )
    while True:
        state = connection.poll()
        if state == extensions.POLL_OK:
            return
        poller = select.poll()
        poller.register(
            connection.fileno(), select.POLLIN if state == extensions.POLL_READ else select.POLLOUT
        )
        left = deadline - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            raise psycopg2.OperationalError("the server did not answer in time")


class Database:
    """A process's access to Postgres.

    `answer_timeout` bounds every wait for the server; a report may want more than the default.
    """

    def __init__(
        self, settings: DatabaseSettings, *, answer_timeout: timedelta = ANSWER_TIMEOUT
    ) -> None:
        class Patient(_Connection):
            pass

        Patient.answer_timeout = answer_timeout.total_seconds()
        extensions.set_wait_callback(wait)
        self._max_connections = settings.database_max_connections
        self._address = settings.address
        self._engine = create_engine(
            settings.url,
            pool_size=settings.database_max_connections,
            max_overflow=0,
            pool_timeout=POOL_WAIT.total_seconds(),
            hide_parameters=True,
            connect_args={
                "connection_factory": Patient,
                "application_name": f"video-bot {os.getpid()}",
                "options": f"-c statement_timeout={_ms(STATEMENT_TIMEOUT)}"
                f" -c idle_session_timeout={_ms(IDLE)} -c timezone=UTC",
            },
        )
        event.listen(self._engine, "checkin", _note_use)
        event.listen(self._engine, "checkout", partial(_check, self._engine.dialect))
        slow_queries.watch(self._engine)
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")

    def __str__(self) -> str:
        """Where it is, without the password."""
        return self._address

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection in a transaction that is committed on leaving, or rolled back.

        What is told of its writes is told after the commit (see :mod:`db.telling`).
        Raises DatabaseUnavailable, or PoolExhausted after 10 s without a free connection,
        NotMigrated where a table or the like is missing, and a bare DatabaseError where Postgres
        refuses a statement or a row otherwise.
        """
        with self._translated(), self._engine.begin() as connection:
            told = hold_back(connection)
            yield connection
        for tell in told:
            tell()

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A connection whose every statement stands for itself; raises as :meth:`begin` does."""
        with self._translated(), self._autocommit.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            with translated():
                yield
        except sa.TimeoutError:
            log.warning("database_pool_exhausted", max_connections=self._max_connections)
            raise PoolExhausted(
                f"All {self._max_connections} database connections of this process are in use and "
                f"none came free in {POOL_WAIT.seconds} s; DATABASE_MAX_CONNECTIONS sets how many"
            ) from None


@contextmanager
def translated() -> Iterator[None]:
    """Make the driver's errors ours: DatabaseUnavailable, NotMigrated, or a bare DatabaseError."""
    try:
        yield
    except (sa.OperationalError, sa.InterfaceError, sa.InternalError) as error:
        # Among the last are a server that became read-only, as at every failover.
        raise DatabaseUnavailable(_first_line(error)) from error
    except sa.DBAPIError as error:
        kind = NotMigrated if isinstance(error.orig, _MISSING) else DatabaseError
        # The rest of it quotes the statement or the row, and with them the prompt (LG2).
        raise kind(_first_line(error)) from None


def connect_at_startup(
    settings: DatabaseSettings, *, answer_timeout: timedelta = ANSWER_TIMEOUT
) -> Database:
    """The database, once it answers. It is asked four times, with 1, 2 and 4 s between (DG4).

    Raises DatabaseUnavailable with the reason when it does not.
    """
    database = Database(settings, answer_timeout=answer_timeout)
    log.info(
        "database_connecting",
        address=str(database),
        max_connections=settings.database_max_connections,
    )
    for retry in range(RETRIES + 1):
        try:
            with database.autocommit() as connection:
                connection.execute(text("SELECT 1"))
        except DatabaseUnavailable as error:
            if retry == RETRIES:
                database.close()
                raise DatabaseUnavailable(
                    f"Database connection failed: {error} ({database}, {RETRIES} retries)"
                ) from None
            log.warning("database_unreachable", reason=str(error), next_try_seconds=2**retry)
            time.sleep(2**retry)
        else:
            return database
    raise AssertionError("unreachable")


def _note_use(_connection: object, record: ConnectionPoolEntry) -> None:
    record.info[_USED_AT] = time.monotonic()


def _check(
    dialect: Dialect, connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: object
) -> None:
    """Have a connection that may be dead give a sign of life; if it does not, another is made.

    Of one that was in use a moment ago it is enough that the server has not spoken since: it does
    when it ends a session. Asking each time costs as much as a short statement.
    """
    used_at = record.info.get(_USED_AT)
    if used_at is None or (time.monotonic() - used_at < FRESH and not _has_spoken(connection)):
        return
    try:
        dialect.do_ping(connection)
    except psycopg2.Error as error:
        raise sa.InvalidatePoolError from error


def _has_spoken(connection: DBAPIConnection) -> bool:
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    return bool(poller.poll(0))


def _ms(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))


def _first_line(error: sa.DBAPIError) -> str:
    """The driver's reason in one line; libpq's never holds the password."""
    return (str(error.orig).strip() or type(error.orig).__name__).splitlines()[0]
