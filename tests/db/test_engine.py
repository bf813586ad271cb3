"""DG4, DG5: connections that never wait for ever, and errors that name no password."""

import os
import signal
import socket
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from time import monotonic

import psycopg2
import pytest
from sqlalchemy import Connection, insert, make_url, text
from structlog.testing import capture_logs

from db import engine, migrate
from db.engine import Database, connect_at_startup
from db.errors import DatabaseError, DatabaseUnavailable, NotMigrated, PoolExhausted
from db.settings import DatabaseSettings
from db.tables import video_requests
from tests.conftest import MakeDatabase
from tests.db.rows import new_request

NOWHERE = "postgresql://bot:hush@127.0.0.1:1/videos"


def settings(url: str, connections: int = 10) -> DatabaseSettings:
    values = {"database_url": url, "database_max_connections": connections}
    return DatabaseSettings.model_validate(values)


@contextmanager
def opened(
    url: str, *, connections: int = 10, answer_timeout: timedelta = engine.ANSWER_TIMEOUT
) -> Iterator[Database]:
    database = Database(settings(url, connections), answer_timeout=answer_timeout)
    yield database
    database.close()


def backend(conn: Connection) -> int:
    return int(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())


def ask(database: Database) -> int:
    with database.begin() as conn:
        return backend(conn)


def unanswered() -> pytest.RaisesExc[DatabaseUnavailable]:
    return pytest.raises(DatabaseUnavailable, match="did not answer in time")


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A backend of the server that stands still. It takes no signal, and no time-out of its own."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_dg5_what_a_session_is_bound_by(database: Database) -> None:
    with database.begin() as conn:
        shown = {
            name: conn.execute(text(f"SHOW {name}")).scalar_one()
            for name in ("statement_timeout", "idle_session_timeout", "timezone")
        }
        assert shown == {
            "statement_timeout": "30s",
            "idle_session_timeout": "30s",
            "timezone": "UTC",
        }
        name = conn.execute(text("SHOW application_name")).scalar_one()
    assert name == f"video-bot {os.getpid()}"


def test_begin_commits_or_rolls_back(database: Database) -> None:
    with database.begin() as conn:
        conn.execute(text("CREATE TABLE kept (id INT)"))
    with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
        conn.execute(text("DROP TABLE kept"))
        _ = 1 / 0
    with database.autocommit() as conn:
        conn.execute(text("INSERT INTO kept VALUES (1)"))
        with database.begin() as other:
            assert other.execute(text("SELECT count(*) FROM kept")).scalar_one() == 1


def test_a_connection_takes_turns_at_autocommit_and_transactions(database_url: str) -> None:
    with opened(database_url, connections=1) as database:
        for number in range(2):
            with database.autocommit() as conn:
                conn.execute(text("CREATE TABLE IF NOT EXISTS kept (id INT)"))
                conn.execute(text("INSERT INTO kept VALUES (:id)"), {"id": number})
            with pytest.raises(ZeroDivisionError), database.begin() as conn:  # noqa: PT012
                conn.execute(text("DELETE FROM kept"))
                _ = 1 / 0
        with database.autocommit() as conn:
            assert conn.execute(text("SELECT count(*) FROM kept")).scalar_one() == 2


def test_a_connection_that_was_just_in_use_costs_no_round_trip(database_url: str) -> None:
    asked = text("SELECT query FROM pg_stat_activity WHERE pid = :pid")
    with opened(database_url, connections=1) as one, opened(database_url) as other:
        pid = ask(one)
        with one.autocommit(), other.begin() as conn:
            assert conn.execute(asked, {"pid": pid}).scalar_one() == "COMMIT"


def test_dg4_an_unreachable_database_is_retried_three_times_with_backoff(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("db.engine.time.sleep", waits.append)
    with capture_logs() as logs, pytest.raises(DatabaseUnavailable) as caught:
        connect_at_startup(settings(NOWHERE))
    assert waits == [1, 2, 4]
    message = str(caught.value)
    assert message.startswith("Database connection failed: ")
    assert "Connection refused" in message
    assert "127.0.0.1:1/videos" in message
    assert [log["event"] for log in logs] == ["database_connecting", *["database_unreachable"] * 3]
    assert [log.get("next_try_seconds") for log in logs[1:]] == waits
    # LG2
    assert "hush" not in message + str(logs) + repr(caught.value)
    assert "127.0.0.1:1/videos" in logs[0]["address"]


def test_dg4_a_database_that_comes_up_in_the_meantime_is_used(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = make_url(database_url)
    name, later = url.database, f"{url.database}_later"

    def rename(old: str | None, new: str | None) -> None:
        maintenance = url.set(database="postgres").render_as_string(hide_password=False)
        connection = psycopg2.connect(maintenance)
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {old} RENAME TO {new}")
        connection.close()

    rename(name, later)
    monkeypatch.setattr("db.engine.time.sleep", lambda _seconds: rename(later, name))
    with capture_logs() as logs:
        database = connect_at_startup(settings(database_url))
    assert ask(database)
    database.close()
    assert "does not exist" in logs[1]["reason"]
    assert len(logs) == 2


def test_lg2_a_wrong_password_is_not_told(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.engine.time.sleep", lambda _seconds: None)
    url = make_url(database_url).set(password="hush").render_as_string(hide_password=False)
    with capture_logs() as logs, pytest.raises(DatabaseUnavailable) as caught:
        connect_at_startup(settings(url))
    assert "password authentication failed" in str(caught.value)
    assert "hush" not in f"{caught.value}{logs}"


def test_lg2_the_name_of_a_database_has_no_password() -> None:
    with opened("postgres://bot:hush@db.example:6543/videos?sslmode=require") as database:
        assert str(database) == "postgresql://bot:***@db.example:6543/videos?sslmode=require"
        assert "hush" not in repr(database)


def test_dg5_a_pool_that_is_used_up_is_an_error_and_a_warning(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert timedelta(seconds=10) == engine.POOL_WAIT
    monkeypatch.setattr(engine, "POOL_WAIT", timedelta(milliseconds=50))
    with opened(database_url, connections=2) as database:
        refused = pytest.raises(PoolExhausted)
        with database.begin(), database.begin(), capture_logs() as logs, refused as caught:
            ask(database)
        assert "All 2 database connections" in str(caught.value)
        assert "DATABASE_MAX_CONNECTIONS" in str(caught.value)
        assert logs == [
            {
                "event": "database_pool_exhausted",
                "log_level": "warning",
                "max_connections": 2,
            }
        ]
        # It is used up no longer than somebody uses it.
        assert ask(database)


def test_dg5_a_process_opens_no_more_connections_than_it_may(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "POOL_WAIT", timedelta(milliseconds=50))
    with opened(database_url, connections=1) as database, database.begin() as conn:
        mine = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        assert conn.execute(mine).scalar_one() == 1


def test_a_frozen_server_holds_nobody_for_longer_than_the_answer_timeout(
    database_url: str,
) -> None:
    patience = timedelta(seconds=1)
    with opened(database_url, connections=1, answer_timeout=patience) as database:
        began = monotonic()
        with unanswered(), database.begin() as conn:
            pid = backend(conn)
            with frozen(pid):
                conn.execute(text("SELECT 1"))
        assert monotonic() - began < 5
        # The pool has one place, and that one is free again: by a connection of its own.
        assert ask(database) != pid


def test_a_connection_that_froze_while_idle_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "FRESH", 0.0)
    patience = timedelta(seconds=1)
    with opened(database_url, connections=1, answer_timeout=patience) as database:
        pid = ask(database)
        with frozen(pid):
            assert ask(database) != pid


def test_a_frozen_commit_ends_too(database_url: str) -> None:
    patience = timedelta(seconds=1)
    with opened(database_url, answer_timeout=patience) as database:
        with ExitStack() as thawing, unanswered(), database.begin() as conn:
            thawing.enter_context(frozen(backend(conn)))
        assert ask(database)


def test_a_server_that_accepts_and_says_nothing_is_unavailable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        url = f"postgresql://bot:hush@127.0.0.1:{port}/videos"
        with opened(url, answer_timeout=timedelta(milliseconds=200)) as database:
            began = monotonic()
            with unanswered():
                ask(database)
            assert monotonic() - began < 5


def test_the_statement_that_takes_too_long_is_ended_by_the_server(database: Database) -> None:
    ended = pytest.raises(DatabaseUnavailable, match="statement timeout")
    with ended, database.begin() as conn:
        conn.execute(text("SET LOCAL statement_timeout = '50ms'"))
        conn.execute(text("SELECT pg_sleep(20)"))
    assert ask(database)


def test_a_report_may_ask_for_more_patience(database_url: str) -> None:
    with (
        opened(database_url, answer_timeout=timedelta(milliseconds=100)) as hasty,
        opened(database_url, answer_timeout=timedelta(seconds=20)) as patient,
    ):
        pause = text("SELECT pg_sleep(0.4)")
        with patient.begin() as conn:
            conn.execute(pause)
        with pytest.raises(DatabaseUnavailable), hasty.begin() as conn:
            conn.execute(pause)


def test_after_the_server_ended_every_session_the_pool_heals(
    database_url: str, outsider: psycopg2.extensions.connection
) -> None:
    end_all = """
        SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()
    """
    with opened(database_url, connections=3) as database:
        with database.begin() as one, database.begin() as two, database.begin() as three:
            before = {backend(one), backend(two), backend(three)}
        with outsider, outsider.cursor() as cursor:
            cursor.execute(end_all)
        with database.begin() as one, database.begin() as two, database.begin() as three:
            after = {backend(one), backend(two), backend(three)}
        assert not before & after

        # In the middle of a transaction it is an error, once.
        ended = pytest.raises(DatabaseUnavailable)
        with ended, database.begin() as conn:
            with outsider, outsider.cursor() as cursor:
                cursor.execute(end_all)
            conn.execute(text("SELECT 1"))
        assert ask(database)


def test_lg2_what_postgres_refuses_is_told_without_the_statement_and_the_row(
    database: Database,
) -> None:
    new = new_request(prompt="a secret prompt")
    impossible = insert(video_requests).values(new.as_row() | {"status": "no such status"})
    nonsense = text("SELECT :prompt FROM no_such_table")
    for statement, reason in (
        (impossible, 'violates check constraint "video_requests_status_check"'),
        (nonsense, 'relation "no_such_table" does not exist'),
    ):
        with pytest.raises(DatabaseError, match=reason) as caught, database.begin() as conn:
            conn.execute(statement, {"prompt": "a secret prompt"})
        shown = "".join(traceback.format_exception(caught.value))
        assert "a secret prompt" not in shown


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("SELECT * FROM video_budgets", 'relation "video_budgets" does not exist'),
        ("SELECT counted FROM video_requests", 'column "counted" does not exist'),
        ("SELECT daily_standing('a', 1, now())", "function daily_standing(unknown, integer, "),
        ("SELECT NULL::video_period", 'type "video_period" does not exist'),
    ],
)
def test_what_a_migration_would_bring_is_missed_in_a_sentence(
    make_database: MakeDatabase, template: str, statement: str, reason: str
) -> None:
    with make_database(template) as address:
        migrate.rollback(address, lambda _line: None, to=2)
        with (
            opened(address) as database,
            pytest.raises(NotMigrated) as caught,
            database.autocommit() as conn,
        ):
            conn.execute(text(statement))
    assert str(caught.value).startswith(
        f"The database is not migrated as this program needs it ({reason}"
    )
    assert str(caught.value).endswith(": video-bot db migrate brings it up to date")
