"""``video-bot db``: what it prints, asks and answers; how it migrates is tested in tests/db."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
from click.testing import CliRunner
from sqlalchemy import make_url
from structlog.testing import capture_logs

from bot.cli.commands import cli
from db.migrate import migrations
from db.migrate import rollback as undo
from db.tables import metadata
from tests.bot.conftest import NewBroker
from tests.bot.running import on_a_terminal, run, until
from tests.conftest import MakeDatabase

NAMES = [each.name for each in migrations()]


@pytest.fixture(scope="module")
def broker(new_broker: NewBroker) -> str:
    return new_broker()


def db(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    return run("db", *arguments, env={"DATABASE_URL": url})


def tables(url: str) -> set[str]:
    with closing(psycopg2.connect(url)) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {name for (name,) in cursor}


def test_migrate_shows_what_psql_says_and_may_run_again(empty_database_url: str) -> None:
    found = db("migrate", url=empty_database_url)
    assert (found.returncode, found.stderr) == (0, "")
    lines = found.stdout.splitlines()
    assert [line for line in lines if line.endswith(".sql:")] == [f"{name}.sql:" for name in NAMES]
    assert "CREATE TABLE" in lines
    assert "CREATE INDEX" in lines
    again = db("migrate", url=empty_database_url)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.splitlines() == [f"{name} is applied already" for name in NAMES]


def test_status_tells_what_is_applied_pending_and_missing(
    empty_database_url: str, database_url: str
) -> None:
    lines = db("status", url=empty_database_url).stdout.splitlines()
    assert lines[0].startswith("PostgreSQL 1")
    assert lines[1:] == [
        *(f"pending  {name}" for name in NAMES),
        *(f"missing  table {name}" for name in sorted(metadata.tables)),
    ]
    found = db("status", url=database_url)
    assert found.stdout.splitlines()[1:] == [f"applied  {name}" for name in NAMES]
    assert (found.returncode, found.stderr) == (0, "")


def test_status_for_programs(database_url: str) -> None:
    found = db("status", "--json", url=database_url)
    status = json.loads(found.stdout)
    assert status.pop("server_version")
    assert status == {"applied": NAMES, "pending": [], "missing_tables": []}


def test_rollback_undoes_down_to_a_number_and_asks_nobody_off_a_terminal(database_url: str) -> None:
    found = db("rollback", "--to", "2", url=database_url)
    assert (found.returncode, found.stderr) == (0, "")
    assert f"{NAMES[2]}.down.sql:" in found.stdout
    assert "DROP TABLE" in found.stdout
    assert tables(database_url) == {"video_requests"}
    found = db("rollback", url=database_url)
    undone = [line for line in found.stdout.splitlines() if line.endswith(".sql:")]
    # The first pending one is undone too, for half of it may be there.
    assert undone == [f"{name}.down.sql:" for name in reversed(NAMES[:3])]
    assert tables(database_url) == set()


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("\x04", 130)])
def test_on_a_terminal_rollback_asks_and_takes_no_for_an_answer(
    database_url: str, answer: str, status: int
) -> None:
    before = tables(database_url)
    env = {"DATABASE_URL": database_url}
    ended, said = on_a_terminal("db", "rollback", env=env, answer=answer)
    url = make_url(database_url)
    question = f"Undo all migrations, and every row in {url.database} on {url.host}?"
    assert question in said
    assert str(url.password) not in said
    assert ended == status
    assert tables(database_url) == before


def test_on_a_terminal_rollback_takes_yes_for_an_answer(database_url: str) -> None:
    env = {"DATABASE_URL": database_url}
    ended, said = on_a_terminal("db", "rollback", "--to", "1", env=env, answer="y\n")
    assert ended == 0
    assert "Undo every migration after 001 in" in said
    until(lambda: tables(database_url) == {"video_requests"}, "The rollback")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (
            ["rollback", "--to", "99"],
            2,
            f"'--to': there is no migration 99; they go from 0 (none) to {len(NAMES)}.\n",
        ),
        (["rollback", "--to", "-1"], 2, "-1 is not in the range x>=0"),
        (["rollback", "--to", "two"], 2, "'two' is not a valid integer"),
        (["upgrade"], 2, "No such command 'upgrade'"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    database_url: str, arguments: list[str], status: int, sentence: str
) -> None:
    found = db(*arguments, url=database_url)
    assert found.returncode == status
    assert sentence in found.stderr
    assert "Traceback" not in found.stderr
    assert "video_events" in tables(database_url)


@pytest.fixture(scope="module", params=[0, 2])
def behind(
    request: pytest.FixtureRequest, make_database: MakeDatabase, template: str
) -> Iterator[str]:
    """The address of a database in which no migration was applied, or the first two."""
    with make_database(template if request.param else None) as address:
        if request.param:
            undo(address, lambda _line: None, to=request.param)
        yield address


@pytest.mark.parametrize(
    "command",
    [
        ["history"],
        ["history", "--guild", "guild"],
        ["show", str(UUID(int=1))],
        ["events", str(UUID(int=1))],
        ["stats"],
        ["stats", "--user", "alice"],
        ["stats", "--guild", "guild"],
        ["stats", "--limits", "5"],
        ["limits", "show", "alice"],
        ["limits", "set", "alice", "--daily", "20"],
        ["limits", "reset", "alice"],
        ["limits", "budgets"],
        ["limits", "budget", "--all", "--per", "month", "200"],
        ["submit", "a red kite"],
        ["remix", str(UUID(int=1))],
        ["archive", str(UUID(int=1))],
        ["delete", str(UUID(int=1))],
    ],
    ids=" ".join,
)
def test_on_a_database_that_is_not_migrated_every_command_names_the_remedy(
    behind: str, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr("workers.logs.configure", lambda *_, **__: None)
    monkeypatch.setenv("DATABASE_URL", behind)
    with capture_logs():
        found = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert (found.exit_code, found.stdout) == (1, "")
    assert re.fullmatch(
        r"video-bot: The database is not migrated as this program needs it \(.* does not exist\): "
        r"video-bot db migrate brings it up to date\n",
        found.stderr,
    ), found.stderr


@pytest.mark.parametrize(
    "command", [["db", "migrate"], ["db", "rollback"], ["db", "status"], ["stats"]], ids=" ".join
)
def test_every_command_words_a_database_that_is_not_there_alike(command: list[str]) -> None:
    found = run(
        *command, env={"DATABASE_URL": "postgresql://somebody:hush-hush@127.0.0.1:1/videos"}
    )
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "video-bot: Database connection failed: Connection refused "
        "(postgresql://somebody:***@127.0.0.1:1/videos)\n"
    )


@pytest.mark.parametrize(
    "command",
    [
        ["db", "status"],
        ["db", "migrate"],
        ["db", "rollback", "--to", str(len(NAMES))],
        ["history"],
        ["stats"],
        ["limits", "show", "alice"],
        ["submit", "a red kite", "--wait", "0"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["there", "elsewhere", "misspelt"])
def test_lg2_a_password_in_the_query_of_the_address_is_not_shown(
    database_url: str, broker: str, place: str, command: list[str]
) -> None:
    there = make_url(database_url)
    secret = str(there.password) if place == "there" else "hush-hush"
    query = {"user": str(there.username), "password": secret}
    if place == "misspelt":
        query["nonsense"] = "1"
    address = there._replace(username=None, password=None).update_query_dict(query)
    if place == "elsewhere":
        address = address.set(database="no_such_videos")
    env = {"DATABASE_URL": str(address), "REDIS_URL": broker}
    assert secret in env["DATABASE_URL"]
    found = run(*command, env=env)
    assert found.returncode == {"there": 0, "elsewhere": 1, "misspelt": 2}[place], found.stderr
    assert secret not in found.stdout + found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("command", ["migrate", "rollback", "status"])
def test_without_a_database_url(command: str) -> None:
    found = run("db", command, env={})
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "video-bot: DATABASE_URL environment variable is required\n"


def test_a_migration_that_fails_ends_with_what_psql_says(
    empty_database_url: str, tmp_path: Path
) -> None:
    with closing(psycopg2.connect(empty_database_url)) as conn, conn, conn.cursor() as cursor:
        # In the way of the first migration.
        cursor.execute("CREATE VIEW video_requests AS SELECT 1 AS id")
    found = db("migrate", url=empty_database_url)
    assert found.returncode == 1
    assert "ERROR:" in found.stdout
    assert found.stderr.startswith("video-bot: ")
    assert "ERROR:" in found.stderr
    assert "Traceback" not in found.stderr
    assert tables(empty_database_url) == set()
    assert not list(tmp_path.iterdir())
