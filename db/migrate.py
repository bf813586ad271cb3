"""The migration runner (MG1): the files of ``sql/`` through psql, one transaction each.

From 003 on each file records itself in ``schema_migrations``, and 003 the two before it.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import psycopg2
from psycopg2.extensions import connection, make_dsn
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from db import processes
from db.embedded import EmbeddedServerError, find_psql
from db.embedded_binaries import OLDEST
from db.settings import without_password
from db.tables import metadata

FOLDER: Final = Path(__file__).parents[1] / "sql"
"""Beside this package, in a checkout as where a wheel was installed."""
LOCK: Final = 0x766964656F
"""The advisory lock of the one who migrates (the letters ``video``)."""
LOCK_WAIT: Final = timedelta(minutes=5)
LOCK_POLL: Final = 0.2
"""Seconds."""

#: What tells that a migration older than schema_migrations has been applied.
_TRACES: Final[dict[int, list[str]]] = {
    1: ["video_requests"],
    2: [f"idx_video_requests_{who}_created" for who in ("user", "status", "guild")],
}

Write = Callable[[str], object]


class MigrationError(Exception):
    """The migrations could not be read or run. The message says why, and holds no password."""


class Migration(NamedTuple):
    """One file of ``sql/``, with its number, its name (``003_follow_requests``), its rollback."""

    number: int
    name: str
    up: Path
    down: Path


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """How a database stands: names of migrations, and the tables that the application lacks."""

    server_version: str
    applied: tuple[str, ...]
    pending: tuple[str, ...]
    missing_tables: tuple[str, ...]


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """The migrations of `folder` in order; raises MigrationError for one that breaks the rules."""
    found = []
    for number, up in enumerate(sorted(folder.glob("*.sql")), start=1):
        if not re.fullmatch(r"\d{3}_[a-z0-9_]+", up.stem):
            raise MigrationError(f"{up} is not named like 003_what_it_does.sql")
        if int(up.stem[:3]) != number:
            raise MigrationError(f"{up} should have number {number:03}: no gap, no number twice")
        found.append(Migration(number, up.stem, up, folder / "down" / f"{up.stem}.down.sql"))
    rollbacks = {migration.down for migration in found}
    present = {*folder.glob("down/*.sql")}
    if not found or rollbacks != present:
        wrong = ", ".join(str(path) for path in sorted(rollbacks ^ present)) or f"{folder} is empty"
        raise MigrationError(f"Each migration needs its rollback and each rollback one: {wrong}")
    return found


def status(url: URL | str, *, folder: Path = FOLDER) -> MigrationStatus:
    """What is applied, pending and missing. Raises MigrationError if the server won't say."""
    with _connected(url) as conn:
        return _status(conn, migrations(folder))


def pending(conn: connection) -> tuple[str, ...]:
    """What is pending, asked on a connection of the caller's, who meets the driver's errors."""
    return _status(conn, migrations()).pending


def migrate(
    url: URL | str, write: Write, *, folder: Path = FOLDER, wait: timedelta = LOCK_WAIT
) -> None:
    """Apply what is pending; `write` gets psql's lines as they come. Safe to run again.

    Where a table is gone that an applied file makes, every file runs again. While somebody else
    migrates, this waits, at most for `wait`. Raises MigrationError if the server cannot be
    reached or is too old, and with psql's message if a file fails, of which nothing is kept.
    """
    known = migrations(folder)
    with _connected(url) as conn, _locked(conn, write, wait):
        before = _status(conn, known)
        to_run = [each for each in known if each.name in before.pending]
        made = {t for each in to_run for t in re.findall(r"EXISTS (\w+) \(", each.up.read_text())}
        if gone := set(before.missing_tables) - made:
            write(f"Missing: {', '.join(sorted(gone))}. Every migration runs again.")
            to_run = known
        for each in known:
            if each in to_run:
                _run(url, each.up, write)
            else:
                write(f"{each.name} is applied already")


def rollback(
    url: URL | str,
    write: Write,
    *,
    to: int = 0,
    folder: Path = FOLDER,
    wait: timedelta = LOCK_WAIT,
) -> None:
    """Undo, in reverse, what was applied after number `to`; otherwise as :func:`migrate`.

    The first pending one is undone with them, for half of it may be there.
    """
    known = migrations(folder)
    if to not in range(len(known) + 1):
        raise MigrationError(f"There is no migration {to}; they go from 0 (none) to {len(known)}")
    with _connected(url) as conn, _locked(conn, write, wait):
        before = _status(conn, known)
        for each in reversed(known[to:]):
            if each.name in (*before.applied, *before.pending[:1]):
                _run(url, each.down, write)


@contextmanager
def _connected(url: URL | str) -> Iterator[connection]:
    """A connection of its own, in autocommit, to a server that is new enough."""
    dsn, password = _address(url)
    try:
        connected = psycopg2.connect(dsn, password=password)
    except psycopg2.Error as error:
        # Of libpq's lines, some for each address of the host, the last one's reason: where a host
        # has two, the first is often one that nobody listens at.
        reason = str(error).strip().rpartition(" failed: ")[2].partition("\n")[0]
        where = without_password(make_url(url))
        raise MigrationError(f"Database connection failed: {reason} ({where})") from None
    with closing(connected) as conn:
        conn.autocommit = True
        if conn.server_version < OLDEST * 10000:
            raise MigrationError(f"PostgreSQL {_version(conn)} is older than {OLDEST}")
        try:
            yield conn
        except psycopg2.Error as error:
            raise MigrationError(f"The database refused: {str(error).strip()}") from None


def _address(url: URL | str) -> tuple[str, str | None]:
    """What libpq wants to know, fit for a process list, and the password by itself."""
    try:
        url = make_url(url)
        wanted: dict[str, Any] = {"connect_timeout": 10, "keepalives_idle": 30}
        wanted |= url.translate_connect_args(username="user", database="dbname") | url.query
        password = wanted.pop("password", None)
        return make_dsn("", **wanted), password
    except (ArgumentError, ValueError, psycopg2.Error):
        # What these say may quote the password.
        raise MigrationError("The database's URL cannot be understood") from None


@contextmanager
def _locked(conn: connection, write: Write, wait: timedelta) -> Iterator[None]:
    """Wait to be the only one who migrates this database, and be that for the block."""
    _column(conn, "SET idle_session_timeout = 0")
    deadline = time.monotonic() + wait.total_seconds()
    is_told = False
    # Asked again and again, for db.engine lets no answer of any connection take over 5 s.
    while not _column(conn, "SELECT pg_try_advisory_lock(%s)", LOCK)[0]:
        if not is_told:
            write("Another migration is running; waiting for it")
            is_told = True
        if time.monotonic() > deadline:
            raise MigrationError(f"Another migration is running and did not end within {wait}")
        time.sleep(LOCK_POLL)
    try:
        yield
    finally:
        # That `conn` is closed the server may hear of only after the next one has begun.
        with suppress(psycopg2.Error):
            _column(conn, "SELECT pg_advisory_unlock(%s)", LOCK)


def _status(conn: connection, known: list[Migration]) -> MigrationStatus:
    missing = _missing(conn, metadata.tables)
    records = "schema_migrations"
    recorded = [] if records in missing else _column(conn, "SELECT name FROM schema_migrations")
    applied = [name for number, name, *_ in known if name in recorded or _has_traces(conn, number)]
    pending = [each.name for each in known if each.name not in applied]
    return MigrationStatus(_version(conn), tuple(applied), tuple(pending), tuple(missing))


def _has_traces(conn: connection, number: int) -> bool:
    return number in _TRACES and not _missing(conn, _TRACES[number])


def _missing(conn: connection, relations: Collection[str]) -> list[str]:
    look = "SELECT name FROM unnest(%s) AS name WHERE to_regclass(name) IS NULL ORDER BY name"
    return _column(conn, look, list(relations))


def _column(conn: connection, statement: str, *values: object) -> list[Any]:
    """The first column of a statement's answer."""
    with conn.cursor() as cursor:
        cursor.execute(statement, values)
        return [row[0] for row in cursor] if cursor.description else []


def _version(conn: connection) -> str:
    return (conn.info.parameter_status("server_version") or "unknown").split()[0]


def _run(url: URL | str, file: Path, write: Write) -> None:
    """One file through psql: all of it, or nothing and a MigrationError."""
    dsn, password = _address(url)
    # A change that waits for a table holds up everybody who comes to the table after it.
    environ = {"PGOPTIONS": "-c lock_timeout=30s"} | os.environ | {"PGCLIENTENCODING": "UTF8"}
    if password is not None:
        environ["PGPASSWORD"] = password
    try:
        psql = processes.spawn(
            _command(file, dsn), env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (EmbeddedServerError, OSError) as error:
        raise MigrationError(str(error)) from None
    write(f"{file.name}:")
    output = []
    with psql:
        try:
            for line in psql.stdout or ():
                output.append(line.decode(errors="replace").rstrip())
                write(output[-1])
            psql.wait()
        finally:
            # Interrupted, psql cancels what the server is doing for it.
            processes.stop(psql, first=signal.SIGINT, grace=5)
    if psql.returncode != 0:
        last = max((n for n, line in enumerate(output) if line.startswith("psql")), default=0)
        raise MigrationError(f"{file.name} failed, undone: " + "\n".join(output[last:]))


def _command(file: Path, dsn: str) -> list[str | Path]:
    safe = ["--no-psqlrc", "--no-password", "-v", "ON_ERROR_STOP=1", "--single-transaction"]
    return [find_psql(), *safe, "-f", file, dsn]
