"""An embedded PostgreSQL, for local runs and tests: a real server without an installation."""

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import MappingProxyType

import psycopg2

from db import processes
from db.embedded_binaries import Installation, find_postgres, find_psql
from db.embedded_server import (
    AUTO,
    EmbeddedServerError,
    Source,
    held,
    make_folder,
    server,
    write_private,
)

__all__ = ["AUTO", "EmbeddedServerError", "Source", "find_psql", "postgres"]

#: The name of the user and of the database.
NAME = "video_bot"

#: Seconds for initdb (under one on a disk of today), and for a server left behind to stop.
INITDB_LIMIT = 120.0
STALE_LIMIT = 30

#: For data that may be lost with the machine: nothing waits for the disk.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


@contextmanager
def postgres(
    folder: Path,
    *,
    source: Source = AUTO,
    durable: bool = True,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> Iterator[str]:
    """Run a PostgreSQL of our own for the block, and yield the DATABASE_URL of its database.

    It listens on a free port of 127.0.0.1 only. Its data is in `folder`/postgres, made at the
    first use and kept; its password in `folder`/postgres.password; its log, of the last start,
    in `folder`/postgres.log. `source` says whose binaries run. Without `durable`, committed
    data may be lost when the machine fails, and all is faster. `settings` are parameters of
    postgresql.conf and go before ours, the address excepted.

    As root, the server runs as `nobody`, who must be able to enter `folder`.

    Enter it in a thread that lives as long as the server should (see `processes.spawn`).

    Raises EmbeddedServerError if there is no PostgreSQL, if the folder is in use, cannot be
    entered or belongs to somebody else, or if the server does not start.
    """
    user = _server_user()
    folder = make_folder(folder)
    if user:
        _check_entrance(folder, user)
    data = folder / "postgres"
    with held(folder / "postgres.lock"):
        _check_owner(data, user)
        major = int((data / "PG_VERSION").read_text()) if data.exists() else None
        binaries = find_postgres(source, folder, user, major=major)
        password = _password(folder / "postgres.password", data)
        if major is None:
            _make_data(data, binaries, user, password, durable=durable)
        _stop_left_over(data, binaries, user)
        options = {"max_connections": "200"} | ({} if durable else VOLATILE) | dict(settings)
        with server(
            lambda port: [binaries.bin / "postgres", "-D", data, *_parameters(options, port)],
            name="PostgreSQL",
            is_ready=lambda port: _answers(port, password),
            log=folder / "postgres.log",
            cwd=data,
            # Fast shutdown, which ends sessions and writes a checkpoint; then without one.
            signals=(signal.SIGINT, signal.SIGQUIT),
            env=_environment(),
            user=user,
        ) as port:
            _make_database(port, password)
            yield f"postgresql://{NAME}:{password}@127.0.0.1:{port}/{NAME}"


def _server_user() -> processes.Account | None:
    """The account to run the server as; None if that is our own."""
    try:
        return processes.unprivileged_account()
    except KeyError as error:
        raise EmbeddedServerError(
            "PostgreSQL does not run as root, and this machine has no user 'nobody' to run it. "
            "Run as an ordinary user, or make that one."
        ) from error


def closed_to_server(folder: Path) -> str | None:
    """What of the way to the folder, as far as it is there, the server's account may not enter."""
    user = _server_user()
    return None if user is None else _closed(folder, user)


def _check_entrance(folder: Path, user: processes.Account) -> None:
    """Raise EmbeddedServerError if `user` cannot enter the folder."""
    if closed := _closed(folder, user):
        raise EmbeddedServerError(
            f"PostgreSQL does not run as root, so it would run as '{user.name}', who may not "
            f"enter {closed}. Choose a folder elsewhere, run as an ordinary user, "
            f"or let others enter it (chmod o+x {closed})."
        )


def _closed(folder: Path, user: processes.Account) -> str | None:
    """Where `user` cannot go on; found out by trying."""
    tries = 'for folder; do cd "$folder" 2>&- || { printf %s "$folder"; exit; }; done'
    way = [each for each in (*reversed(folder.parents), folder) if each.exists()]
    return processes.run(["/bin/sh", "-c", tries, "sh", *way], user=user).stdout or None


def _check_owner(data: Path, user: processes.Account | None) -> None:
    """Raise EmbeddedServerError if the data is another user's; PostgreSQL would refuse it."""
    uid = user.uid if user else os.geteuid()
    if data.exists() and data.stat().st_uid != uid:
        raise EmbeddedServerError(
            f"{data} belongs to the user with the number {data.stat().st_uid}, and the server "
            f"would run as number {uid}. Run as the user who made it, or choose another folder."
        )


def _password(path: Path, data: Path) -> str:
    """The password of the server, made when there is no data yet."""
    if not path.exists():
        if data.exists():
            raise EmbeddedServerError(
                f"{path}, the password of the database in {data}, is missing. "
                "Put it back, or choose another folder."
            )
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def _make_data(
    data: Path,
    binaries: Installation,
    user: processes.Account | None,
    password: str,
    *,
    durable: bool,
) -> None:
    """Make the data folder under another name first, so that it is whole or not there."""
    prefix = f"{data.name}.new-"
    for unfinished in data.parent.glob(f"{prefix}*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix=prefix, dir=data.parent))
    pwfile = data.with_name("postgres.pwfile")
    initdb: list[str | Path] = [binaries.bin / "initdb", "-D", new, "-U", NAME, "--encoding=UTF8"]
    initdb += ["--no-locale", "--auth=scram-sha-256", f"--pwfile={pwfile}"]
    if not durable:
        initdb.append("--no-sync")
    try:
        if user:
            os.chown(new, user.uid, user.gid)
        write_private(pwfile, password, owner=user)
        result = processes.run(initdb, user=user, env=_environment(), timeout=INITDB_LIMIT)
        if result.returncode != 0:
            raise EmbeddedServerError(
                f"PostgreSQL could not make its data in {data}. It said:\n{result.stdout}"
            )
        new.rename(data)
    finally:
        pwfile.unlink(missing_ok=True)
        shutil.rmtree(new, ignore_errors=True)


def _stop_left_over(data: Path, binaries: Installation, user: processes.Account | None) -> None:
    """Stop the server of a former run that was killed, if it still lives.

    We hold the folder, so nobody uses that server. Where the kernel knows no death signal it
    lives on; elsewhere it may be about to stop.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return
    command = processes.command_line(pid)
    if f"-D {data} " in command:
        # As the server's user, so that a forged file gives no more power than that user has.
        processes.run(
            [
                binaries.bin / "pg_ctl",
                "stop",
                "-D",
                data,
                "--mode=fast",
                f"--timeout={STALE_LIMIT}",
            ],
            user=user,
            env=_environment(),
        )
    elif "postgres" not in command and "postmaster" not in command:
        # The number belongs to another program by now (in a container it soon does), which
        # PostgreSQL would take for its own server and refuse to start.
        pid_file.unlink(missing_ok=True)


def _parameters(options: Mapping[str, str], port: int) -> list[str]:
    """The command line's part that sets `options` and where the server listens."""
    address = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        # The log is what it writes to stderr, whatever postgresql.conf says.
        "logging_collector": "off",
    }
    return [
        part for name, value in {**options, **address}.items() for part in ("-c", f"{name}={value}")
    ]


def _environment() -> dict[str, str]:
    """What PostgreSQL's programs may know: none of our secrets, nor a stray PGDATA or PGPORT."""
    kept = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
    return {k: os.environ[k] for k in kept if k in os.environ} | {"LC_ALL": "C", "TZ": "UTC"}


def _connect(port: int, password: str) -> psycopg2.extensions.connection:
    """Connect to the database that every server has."""
    return psycopg2.connect(
        host="127.0.0.1",
        port=port,
        user=NAME,
        password=password,
        dbname="postgres",
        connect_timeout=5,
    )


def _answers(port: int, password: str) -> bool:
    """Whether the server takes connections."""
    try:
        _connect(port, password).close()
    except psycopg2.OperationalError:
        return False
    return True


def _make_database(port: int, password: str) -> None:
    """Make our database, if it is missing."""
    with closing(_connect(port, password)) as conn:
        conn.autocommit = True
        with conn.cursor() as cursor:
            cursor.execute("SELECT FROM pg_database WHERE datname = %s", (NAME,))
            if cursor.fetchone() is None:
                cursor.execute("CREATE DATABASE video_bot")
