"""MG1 to MG3: the migrations as a product, and the runner that applies them."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import psycopg2
import psycopg2.extras
import pytest
from sqlalchemy import create_engine, make_url

from db import migrate
from db.embedded import find_psql
from db.migrate import FOLDER, LOCK, MigrationError, migrations, rollback, status
from db.states import Status
from db.tables import metadata
from tests.conftest import MakeDatabase

NAMES = tuple(migration.name for migration in migrations())
NEXT, AFTER_NEXT = (f"{len(NAMES) + number:03}" for number in (1, 2))

#: What the catalogue says of a schema, a list of lines each.
COLUMNS = """
    SELECT format('%s column %s: %s %s null:%s default:%s identity:%s', attrelid::regclass,
      row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attname,
      format_type(atttypid, atttypmod), NOT attnotnull, pg_get_expr(adbin, adrelid), attidentity)
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0
      AND NOT attisdropped
    ORDER BY 1
"""
INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"
CONSTRAINTS = """
    SELECT format('%s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    ORDER BY 1
"""
TRIGGERS = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
ROUTINES = """
    SELECT pg_get_functiondef(oid) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1
"""


@contextmanager
def connected(url: str) -> Iterator[psycopg2.extensions.cursor]:
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor


def lines(url: str, *questions: str) -> list[str]:
    with connected(url) as cursor:
        found: list[str] = []
        for question in questions:
            cursor.execute(question)
            found += [row[0] for row in cursor]
        return found


def schema(url: str) -> list[str]:
    return lines(url, COLUMNS, INDEXES, CONSTRAINTS, TRIGGERS, ROUTINES)


def run(url: str, *, folder: Path = FOLDER) -> list[str]:
    output: list[str] = []
    migrate.migrate(url, output.append, folder=folder)
    return output


def undo(url: str, *, to: int = 0, folder: Path = FOLDER) -> list[str]:
    output: list[str] = []
    rollback(url, output.append, to=to, folder=folder)
    return output


def old_schema(url: str) -> None:
    """The database of the system before this one: the seed's two files, by psql alone."""
    with connected(url) as cursor:
        for migration in migrations()[:2]:
            cursor.execute(migration.up.read_text())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to change."""
    return Path(shutil.copytree(FOLDER, tmp_path / "sql"))


def add(folder: Path, name: str, up: str, down: str = "SELECT 1;\n") -> None:
    (folder / f"{name}.sql").write_text(up)
    (folder / "down" / f"{name}.down.sql").write_text(down)


def test_mg1_up_down_up_each_twice_leaves_the_same_schema(empty_database_url: str) -> None:
    url = empty_database_url
    empty = schema(url)
    run(url)
    migrated = schema(url)
    assert migrated != empty
    assert run(url) == [f"{name} is applied already" for name in NAMES]
    assert schema(url) == migrated
    undo(url)
    assert schema(url) == empty
    undo(url)
    assert schema(url) == empty
    run(url)
    run(url)
    assert schema(url) == migrated


def test_mg1_every_file_may_run_again(empty_database_url: str) -> None:
    run(empty_database_url)
    migrated = schema(empty_database_url)
    with connected(empty_database_url) as cursor:
        for migration in migrations():
            cursor.execute(migration.up.read_text())
        assert schema(empty_database_url) == migrated
        for migration in reversed(migrations()):
            cursor.execute(migration.down.read_text())
            cursor.execute(migration.down.read_text())


def test_mg1_a_rollback_leaves_what_was_there_before(empty_database_url: str) -> None:
    url = empty_database_url
    old_schema(url)
    old = schema(url)
    run(url)
    output = undo(url, to=2)
    assert schema(url) == old
    assert "003_follow_requests.down.sql:" in output
    assert "002_add_indexes.down.sql:" not in output
    assert status(url).applied == NAMES[:2]
    undo(url, to=1)
    assert status(url).applied == NAMES[:1]
    assert status(url).pending == NAMES[1:]


def test_mg1_a_rollback_to_3_leaves_what_003_made(empty_database_url: str, folder: Path) -> None:
    url = empty_database_url
    for migration in migrations(folder)[3:]:
        migration.up.unlink()
        migration.down.unlink()
    run(url, folder=folder)
    of_three = schema(url)
    run(url)
    assert schema(url) != of_three
    undo(url, to=3)
    assert schema(url) == of_three
    assert status(url).applied == NAMES[:3]
    run(url)
    assert status(url).pending == ()


def test_mg1_what_is_half_there_is_undone_as_well(empty_database_url: str) -> None:
    url = empty_database_url
    empty = schema(url)
    old_schema(url)
    with connected(url) as cursor:
        cursor.execute("CREATE TABLE schema_migrations (name TEXT PRIMARY KEY)")
        cursor.execute("ALTER TABLE video_requests ADD COLUMN provider TEXT")
    undo(url)
    assert schema(url) == empty


@pytest.mark.parametrize("number", [-1, 99])
def test_mg1_an_unknown_number_to_roll_back_to_is_an_error(
    empty_database_url: str, number: int
) -> None:
    run(empty_database_url)
    with pytest.raises(MigrationError, match=f"There is no migration {number};"):
        undo(empty_database_url, to=number)
    assert status(empty_database_url).applied == NAMES


def test_mg1_status_before_and_after(empty_database_url: str) -> None:
    before = status(empty_database_url)
    assert (before.applied, before.pending) == ((), NAMES)
    assert before.missing_tables == tuple(sorted(metadata.tables))
    assert int(before.server_version.split(".")[0]) >= 14
    run(empty_database_url)
    after = status(empty_database_url)
    assert (after.applied, after.pending, after.missing_tables) == (NAMES, (), ())


@pytest.mark.parametrize(
    "tables",
    [("video_events",), ("schema_migrations",), ("video_events", "video_requests")],
    ids=" ".join,
)
def test_mg1_a_table_that_is_gone_is_named_and_made_again(
    empty_database_url: str, tables: tuple[str, ...]
) -> None:
    url = empty_database_url
    run(url)
    migrated = schema(url)
    with connected(url) as cursor:
        cursor.execute(f"DROP TABLE {', '.join(tables)} CASCADE")
    assert status(url).missing_tables == tables
    run(url)
    assert schema(url) == migrated
    assert status(url).missing_tables == ()


def test_mg1_only_what_is_pending_runs(empty_database_url: str, folder: Path) -> None:
    run(empty_database_url)
    more = f"{NEXT}_more"
    up = """
        CREATE TABLE IF NOT EXISTS more (id INT);
        INSERT INTO schema_migrations (name) VALUES ('NAME') ON CONFLICT (name) DO NOTHING;
    """
    down = "DROP TABLE IF EXISTS more; DELETE FROM schema_migrations WHERE name = 'NAME';"
    add(folder, more, up.replace("NAME", more), down.replace("NAME", more))
    assert status(empty_database_url, folder=folder).pending == (more,)
    assert run(empty_database_url, folder=folder) == [
        *(f"{name} is applied already" for name in NAMES),
        f"{more}.sql:",
        "CREATE TABLE",
        "INSERT 0 1",
    ]
    assert undo(empty_database_url, folder=folder, to=len(NAMES)) == [
        f"{more}.down.sql:",
        "DROP TABLE",
        "DELETE 1",
    ]
    assert status(empty_database_url, folder=folder).pending == (more,)


def test_mg1_a_broken_migration_stops_with_psqls_words_and_leaves_nothing_half_done(
    empty_database_url: str, folder: Path
) -> None:
    broken = "CREATE TABLE half_done (id INT);\nINSERT INTO half_done\nVALUES (1 / 0);\n"
    add(folder, f"{NEXT}_broken", broken)
    add(folder, f"{AFTER_NEXT}_never_reached", "CREATE TABLE IF NOT EXISTS never_reached (id INT);")
    output: list[str] = []
    with pytest.raises(MigrationError) as caught:
        migrate.migrate(empty_database_url, output.append, folder=folder)
    message = str(caught.value)
    assert message.startswith(f"{NEXT}_broken.sql failed")
    assert f"{NEXT}_broken.sql:3: ERROR:  division by zero" in message
    # What psql wrote came in its order, notices among the rest.
    assert output[-3:-1] == [f"{NEXT}_broken.sql:", "CREATE TABLE"]
    assert "ERROR:  division by zero" in output[-1]
    assert status(empty_database_url, folder=folder).applied == NAMES
    with connected(empty_database_url) as cursor:
        cursor.execute("SELECT to_regclass('half_done'), to_regclass('never_reached')")
        assert cursor.fetchone() == (None, None)


def test_mg1_the_names_of_the_files() -> None:
    found = migrations()
    assert [migration.number for migration in found] == list(range(1, len(found) + 1))
    assert NAMES[:7] == (
        "001_create_video_requests",
        "002_add_indexes",
        "003_follow_requests",
        "004_account_for_requests",
        "005_keep_and_remove",
        "006_count_rescues",
        "007_deliver_answers",
    )
    assert all(migration.up.is_file() and migration.down.is_file() for migration in found)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda sql: (sql / "4_x.sql").touch(), "4_x.sql is not named like"),
        (lambda sql: (sql / "004-x.sql").touch(), "004-x.sql is not named like"),
        (lambda sql: (sql / f"{NEXT}_x.sql").touch(), f"needs its rollback.*{NEXT}_x.down.sql"),
        (
            lambda sql: (sql / f"down/{NEXT}_x.down.sql").touch(),
            f"each rollback one: .*{NEXT}_x.down.sql",
        ),
        (lambda sql: add(sql, f"{AFTER_NEXT}_x", ""), f"should have number {NEXT}"),
        (lambda sql: add(sql, f"{NAMES[-1][:3]}_x", ""), f"should have number {NEXT}"),
        (lambda sql: shutil.rmtree(sql), "is empty"),
    ],
    ids=["short number", "dash", "no rollback", "rollback alone", "gap", "twice", "no folder"],
)
def test_mg1_a_folder_against_the_rules_is_refused(folder: Path, change: Any, message: str) -> None:
    change(folder)
    with pytest.raises(MigrationError, match=message):
        migrations(folder)


def test_mg2_mg3_what_docker_runs_on_an_empty_volume_is_the_same(
    make_database: MakeDatabase,
) -> None:
    with make_database() as of_docker, make_database() as ours:
        run(ours)
        # docker-entrypoint.sh: every *.sql of the folder itself, sorted, without a transaction.
        for file in sorted(FOLDER.glob("*.sql")):
            psql: list[str | Path] = [
                find_psql(),
                "-v",
                "ON_ERROR_STOP=1",
                "--no-psqlrc",
                "-f",
                file,
                of_docker,
            ]
            subprocess.run(psql, check=True, capture_output=True)
        assert schema(of_docker) == schema(ours)
        assert status(of_docker).pending == ()
        assert run(of_docker) == [f"{name} is applied already" for name in NAMES]


def test_the_core_tables_are_what_the_migrations_make(make_database: MakeDatabase) -> None:
    # Guards of sql/ alone, which the statements of db/ have no use for.
    guards = (
        "video_requests_status_fits_timestamps",
        "video_requests_claim_has_time",
        "video_requests_seed_fits",
    )
    with make_database() as migrated, make_database() as of_core:
        run(migrated)
        engine = create_engine(make_url(of_core))
        metadata.create_all(engine)
        engine.dispose()
        for question in (COLUMNS, INDEXES):
            assert lines(migrated, question) == lines(of_core, question)
        constraints = lines(migrated, CONSTRAINTS)
        assert [
            line for line in constraints if not any(guard in line for guard in guards)
        ] == lines(of_core, CONSTRAINTS)
        assert len(constraints) == len(lines(of_core, CONSTRAINTS)) + len(guards)


def test_mg1_replicas_that_start_together_do_not_collide(empty_database_url: str) -> None:
    barrier = Barrier(4)

    def start(_: int) -> list[str]:
        barrier.wait(30)
        return run(empty_database_url)

    with ThreadPoolExecutor(4) as threads:
        outputs = list(threads.map(start, range(4)))
    assert sum("CREATE PROCEDURE" in output for output in outputs) == 1
    assert status(empty_database_url).pending == ()


def test_mg1_waiting_for_another_migration_ends(empty_database_url: str) -> None:
    output: list[str] = []
    with connected(empty_database_url) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        with pytest.raises(MigrationError, match=r"Another migration is running and did not end"):
            migrate.migrate(empty_database_url, output.append, wait=timedelta(milliseconds=1))
    assert output == ["Another migration is running; waiting for it"]
    assert status(empty_database_url).applied == ()


def test_mg1_nobody_waits_for_a_migration_that_is_over(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However late the server hears that its connection was closed."""
    with ExitStack() as later:
        monkeypatch.setattr(
            migrate, "closing", lambda each: nullcontext(later.enter_context(closing(each)))
        )
        run(empty_database_url)
        assert "Another migration is running; waiting for it" not in run(empty_database_url)


def test_mg1_the_password_is_not_in_the_process_list(
    empty_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = tmp_path / "seen"
    psql = tmp_path / "bin" / "psql"
    psql.parent.mkdir()
    psql.write_text(
        "#!/bin/sh\n"
        '[ "$1" = --version ] && exec echo "psql (PostgreSQL) 17.0"\n'
        f'printf "%s\\n" "$@" >>{seen}\necho "in $PGPASSWORD" >>{seen}\n'
    )
    psql.chmod(0o755)
    monkeypatch.setenv("PATH", f"{psql.parent}:{os.environ['PATH']}")
    url = make_url(empty_database_url)
    migrate.migrate(url.update_query_dict({"sslmode": "prefer"}), lambda _line: None)
    told = seen.read_text().splitlines()
    arguments = told[: told.index(f"in {url.password}")]
    assert str(url.password) not in " ".join(arguments)
    assert "--single-transaction" in arguments
    assert "--no-psqlrc" in arguments
    assert "ON_ERROR_STOP=1" in arguments
    assert "sslmode=prefer" in arguments[-1]


def test_mg1_cloud_sqls_socket_reaches_libpq() -> None:
    url = "postgres://bot:p%40ss@/videos?host=/cloudsql/project:region:instance&sslmode=disable"
    dsn, password = migrate._address(url)
    assert password == "p@ss"
    assert {
        "host": "/cloudsql/project:region:instance",
        "user": "bot",
        "dbname": "videos",
        "sslmode": "disable",
    }.items() <= psycopg2.extensions.parse_dsn(dsn).items()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("postgresql://bot:hush@127.0.0.1:1/videos", "Database connection failed: .*refused"),
        ("postgresql://bot:hu@sh@host:port/videos", "URL cannot be understood"),
        ("postgresql://bot:hush@host/videos?no_such_option=hush", "URL cannot be understood"),
        ("hush", "URL cannot be understood"),
    ],
)
def test_mg1_a_server_that_cannot_be_had_is_a_sentence_without_the_password(
    address: str, reason: str
) -> None:
    with pytest.raises(MigrationError, match=reason) as caught:
        run(address)
    assert "hush" not in str(caught.value)


def test_mg1_a_wrong_password_is_not_told(empty_database_url: str) -> None:
    url = make_url(empty_database_url).set(password="hush")
    with pytest.raises(MigrationError, match="password authentication failed") as caught:
        status(url)
    assert "hush" not in str(caught.value)


def message(kind: bytes, content: bytes) -> bytes:
    return kind + (len(content) + 4).to_bytes(4, "big") + content


def test_mg1_a_server_older_than_14_is_refused_before_anything_runs() -> None:
    """A server that says it is 13.9, in as much of the protocol as it takes to say so."""
    parameters = {
        "server_version": "13.9 (Debian 13.9-1)",
        "client_encoding": "UTF8",
        "DateStyle": "ISO, MDY",
        "standard_conforming_strings": "on",
    }
    hello = message(b"R", bytes(4))
    for name, value in parameters.items():
        hello += message(b"S", f"{name}\0{value}\0".encode())
    hello += message(b"K", bytes(8)) + message(b"Z", b"I")
    asked: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(hello)
            asked.append(connection.recv(1000))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        with pytest.raises(MigrationError, match=r"PostgreSQL 13.9 is older than 14"):
            run(f"postgresql://bot@127.0.0.1:{port}/videos?sslmode=disable&gssencmode=disable")
        thread.join(10)
    # Nothing was asked: it was left, no more.
    assert asked == [message(b"X", b"")]


def test_mg1_without_psql_the_sentence_names_the_remedy(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("db.embedded_binaries.wheel_package", lambda: None)
    with pytest.raises(MigrationError, match=r"No psql was found\. Install"):
        run(empty_database_url)


#: Rows of the system before this one: status, then which of its timestamps and its duration it has.
OLD_ROWS = [
    (status, started, completed, duration)
    for status in Status
    for started in (None, "2026-01-01 10:01+00")
    for completed in (None, "2026-01-01 10:03+00")
    for duration in (None, 4711)
]
INSERT_OLD = """
    INSERT INTO video_requests (
      user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
      status, created_at, started_at, completed_at, duration_ms
    )
    VALUES (
      'alice', 'guild', 'channel', 'prompt', 4, '16:9', '720p',
      %s, '2026-01-01 10:00+00', %s, %s, %s
    )
"""
PROMISES = """
    ALTER TABLE video_requests VALIDATE CONSTRAINT video_requests_status_fits_timestamps;
    ALTER TABLE video_requests VALIDATE CONSTRAINT video_requests_claim_has_time;
"""


def is_possible(row: tuple[Any, ...]) -> bool:
    """Whether an old row can be made to fit by adding what it lacks, taking nothing away."""
    status, started, completed, duration = row
    if status == "pending":
        return started is completed is duration is None
    return status != "generating" or completed is duration is None


def fits(row: tuple[Any, ...]) -> bool:
    """Whether a row's timestamps say what its status says."""
    status, started, completed, duration = row
    present = (started is not None, completed is not None, duration is not None)
    return present == {"pending": (False,) * 3, "generating": (True, False, False)}.get(
        status, (True,) * 3
    )


def test_mg1_old_rows_are_kept_and_repaired_and_what_they_were_is_told(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    old_schema(url)
    with connected(url) as cursor:
        for values in OLD_ROWS:
            cursor.execute(INSERT_OLD, values)
        cursor.execute(
            "SELECT id, status, started_at, completed_at, duration_ms FROM video_requests"
        )
        before = {row[0]: row[1:] for row in cursor}
        run(url)
        cursor.execute(PROMISES)
        cursor.execute(
            "SELECT id, status, started_at, completed_at, duration_ms FROM video_requests"
        )
        after = {row[0]: row[1:] for row in cursor}
        cursor.execute("SELECT request_id, event_type, event_data FROM video_events")
        repairs = {row[0]: row[1:] for row in cursor}

    assert len(before) == len(OLD_ROWS) == 40
    assert after.keys() == before.keys()
    assert repairs.keys() == {key for key, old in before.items() if not fits(old)}
    for key, (old_status, started, completed, duration) in before.items():
        assert fits(after[key])
        assert after[key][0] == old_status
        if fits(before[key]):
            assert after[key] == before[key]
            continue
        # What was known is kept where the status lets it stand, and always told.
        kind, told = repairs[key]
        assert kind == "repaired"
        assert told["duration_ms"] == duration
        for name, value in (("started_at", started), ("completed_at", completed)):
            assert (told[name] is None) == (value is None)
        for old, new in zip((started, completed, duration), after[key][1:], strict=True):
            assert old in (None, new) or new is None


def test_mg1_the_end_that_an_old_row_lacks_comes_from_its_start_and_duration(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    old_schema(url)
    with connected(url) as cursor:
        cursor.execute(INSERT_OLD, ("completed", None, None, 90_000))
        cursor.execute(INSERT_OLD, ("failed", None, "2026-01-01 10:03+00", None))
        cursor.execute(INSERT_OLD, ("timeout", None, None, None))
        run(url)
        cursor.execute(
            "SELECT status, started_at - created_at, completed_at - created_at, duration_ms"
            " FROM video_requests ORDER BY status"
        )
        none, minutes = timedelta(0), timedelta(minutes=3)
        assert cursor.fetchall() == [
            ("completed", none, timedelta(seconds=90), 90_000),
            ("failed", none, minutes, 180_000),
            ("timeout", none, none, 0),
        ]


def test_vd2_old_requests_under_way_are_due_and_never_paid_for_again(
    empty_database_url: str,
) -> None:
    url = empty_database_url
    old_schema(url)
    with connected(url) as cursor:
        for old in Status:
            cursor.execute(INSERT_OLD, (old, None, None, None))
        run(url)
        cursor.execute(
            "SELECT status, due_at <= now(), claim IS NOT NULL, claimed_at = created_at"
            " FROM video_requests"
        )
        found = {row[0]: row[1:] for row in cursor}
        assert found == {
            "pending": (True, True, True),
            "generating": (True, False, None),
            "completed": (None, False, None),
            "failed": (None, False, None),
            "timeout": (None, False, None),
        }
        # Once: what the system of today leaves unclaimed is not claimed by another run.
        cursor.execute(INSERT_OLD, ("pending", None, None, None))
        cursor.execute(FOLDER.joinpath("003_follow_requests.sql").read_text())
        cursor.execute("SELECT count(*) FROM video_requests WHERE claim IS NOT NULL")
        assert cursor.fetchone() == (1,)


def test_nm_an_insert_that_fits_001_still_works(database_url: str) -> None:
    look = "SELECT status, started_at, completed_at, duration_ms FROM video_requests"
    with connected(database_url) as cursor:
        for old in OLD_ROWS:
            if is_possible(old):
                cursor.execute(INSERT_OLD, old)
                cursor.execute(look)
                (found,) = cursor.fetchall()
                assert fits(found), old
                # What it brought is as it was.
                assert found[0] == old[0]
                assert found[3] == old[3] or old[3] is None
                cursor.execute("DELETE FROM video_requests")
            else:
                with pytest.raises(psycopg2.errors.CheckViolation, match="fits_timestamps"):
                    cursor.execute(INSERT_OLD, old)
