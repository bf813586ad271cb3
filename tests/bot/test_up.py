"""``video-bot up``: the whole system kept running, on its own servers or on given ones."""

import base64
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psycopg2
import pytest

from db.embedded_server import held
from db.migrate import migrations
from db.processes import free_port
from tests.bot.conftest import NewBroker
from tests.bot.running import Running, assert_nothing_left, run, started, told, until
from tests.conftest import MakeDatabase

PROMPT = "a lighthouse nobody may read of"
IN_TIME = 40.0
"""Seconds from Ctrl-C to the end: Celery's own grace and more."""


def ask(port: str, path: str, login: str | None = None) -> tuple[int, str]:
    """Flower's answer; 0 while it does not listen."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if login:
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


def rows(url: str, statement: str, *values: str) -> list[tuple[object, ...]]:
    with closing(psycopg2.connect(url)) as conn, conn.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall()


def await_end(url: str, request_id: str) -> tuple[object, ...]:
    """Status and addresses of a request that has ended."""
    ended = (
        "SELECT status, video_urls FROM video_requests "
        "WHERE id = %s AND status NOT IN ('pending', 'generating')"
    )
    return until(lambda: rows(url, ended, request_id), "The end of the request")[0]


@dataclass
class Story:
    """What came of a system that was started, used and stopped."""

    folder: Path
    answers: dict[str, tuple[int, str]] = field(default_factory=dict)
    submitted: str = ""
    ended: tuple[object, ...] = ()
    children: list[str] = field(default_factory=list)
    status: int | None = None
    seconds: float = 0
    lines: list[str] = field(default_factory=list)
    stderr: str = ""


def tell(story: Story, running: Running, way: signal.Signals) -> None:
    begin = time.monotonic()
    story.status = running.end(way, seconds=IN_TIME)
    story.seconds = time.monotonic() - begin
    story.lines, story.stderr = running.lines["stdout"], running.stderr


@pytest.fixture(scope="module")
def alone(place: Path) -> Story:
    """On servers of its own: used from a second terminal as it says, then Ctrl-C."""
    story = Story(place / "alone")
    own = {"SANDBOX_SECONDS": "0", "DAILY_LIMIT": "7"}
    with started("up", "--folder", str(story.folder), env=own) as running:
        running.wait_for("Ctrl-C stops everything")
        exports = dict(re.findall(r"export (\w+)=(\S+)", running.stdout))
        flower = running.wait_for(r"http://127\.0\.0\.1:(\d+)  user (\w+), password (\S+)$")
        port, login = flower[1], f"{flower[2]}:{flower[3]}"
        # It only shows what it has heard of, and is told of nothing that was before it listened.
        until(lambda: '"status": true' in ask(port, "/workers?json=1", login)[1], "Flower hearing")
        request_id = str(uuid4())
        result = run("submit", PROMPT, "--id", request_id, "--wait", "60", env=exports)
        assert result.returncode == 0, result.stderr
        story.submitted = result.stdout
        story.ended = await_end(exports["DATABASE_URL"], request_id)
        health = running.wait_for(r"Health:  http://127\.0\.0\.1:(\d+)(/health/ready),")
        story.answers["health"] = until(
            lambda: found if (found := ask(health[1], health[2]))[0] else None,
            "The web process listening",
        )
        for name, given in {"nobody": None, "stranger": "admin:guess", "operator": login}.items():
            for path in ("/", "/api/tasks"):
                story.answers[f"{name} {path}"] = ask(port, path, given)
        running.wait_for(r"beat +\| .*beat: Starting")
        story.children = [told(each) for each in running.descendants()]
        tell(story, running, signal.SIGINT)
    return story


def test_it_tells_where_everything_is(alone: Story) -> None:
    said = [line.partition("| ")[2] for line in alone.lines if line.startswith("up ")]
    assert said[:4] == [
        f"Everything is kept in {alone.folder}",
        "PostgreSQL is up",
        "Redis is up",
        "The database is migrated",
    ]
    assert f"  export OUTPUT_DIR={alone.folder / 'videos'}" in said
    # Who asks from another terminal is told of the same limit as the worker's.
    assert "  export DAILY_LIMIT=7" in said
    assert said[-2:] == ["Ctrl-C stops everything.", "Stopping"]


def test_every_line_carries_the_name_of_its_process(alone: Story) -> None:
    names = {line.partition("|")[0].strip() for line in alone.lines}
    assert names == {"up", "worker", "beat", "flower", "web"}
    for name in ("worker", "beat", "web"):
        assert any(re.match(rf'{name:<7}\| {{.*"event"', line) for line in alone.lines)


def test_flower_does_not_warn_of_workers_that_have_not_answered_yet(alone: Story) -> None:
    """They start at the same time as it does."""
    assert not [line for line in alone.lines if re.search(r"Inspect method \w+ failed$", line)]


def test_a_request_from_another_terminal_becomes_a_video(alone: Story) -> None:
    status, urls = alone.ended
    assert status == "completed"
    assert isinstance(urls, list)
    video = Path(urls[0].removeprefix("file://"))
    assert video.is_relative_to(alone.folder / "videos")
    assert video.stat().st_size > 10_000


def test_the_web_process_tells_that_all_is_well(alone: Story) -> None:
    status, text = alone.answers["health"]
    assert (status, json.loads(text)["status"]) == (200, "ok")


def test_flower_asks_for_the_password(alone: Story) -> None:
    answers = {path: status for path, (status, _) in alone.answers.items() if path != "health"}
    assert answers == {
        "nobody /": 401,
        "nobody /api/tasks": 401,
        "stranger /": 401,
        "stranger /api/tasks": 401,
        "operator /": 200,
        "operator /api/tasks": 200,
    }


def test_flower_shows_the_tasks_and_no_prompt(alone: Story) -> None:
    _, tasks = alone.answers["operator /api/tasks"]
    assert alone.submitted.strip() in tasks
    assert "create_request" in tasks
    assert "lighthouse" not in tasks


def test_no_password_is_seen_in_the_list_of_processes(alone: Story) -> None:
    password = next(line for line in alone.lines if "password" in line).rpartition(" ")[2]
    database = next(line for line in alone.lines if "DATABASE_URL" in line)
    secrets = [password, *re.findall(r":([^:@/]+)@", database)]
    assert len(secrets) == 2
    for secret in secrets:
        assert not [each for each in alone.children if secret in each]


def test_a_port_that_is_in_use_is_named_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = run("up", "--folder", str(tmp_path / "up"), env={"PORT": str(port)})
    assert found.returncode == 1
    assert found.stderr == f"video-bot: Port {port} is in use; PORT names another for Flower\n"
    assert "is up" not in found.stdout


def test_ctrl_c_stops_everything(alone: Story) -> None:
    assert (alone.status, alone.stderr.strip()) == (130, "")
    assert alone.seconds < IN_TIME
    assert_nothing_left(alone.folder)


@dataclass
class Given(Story):
    """On servers that were there, with one process killed from outside."""

    database_url: str = ""


@pytest.fixture(scope="module")
def given(place: Path, make_database: MakeDatabase, new_broker: NewBroker) -> Iterator[Given]:
    with make_database() as database_url:
        story = Given(place / "given", database_url=database_url)
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": new_broker(),
            "FLOWER_BASIC_AUTH": "operator:hush-hush",
            "PORT": str(free_port()),
            "OUTPUT_DIR": str(place / "elsewhere"),
            "SANDBOX_SECONDS": "0",
        }
        with started("up", "--folder", str(story.folder), env=env) as running:
            running.wait_for("Ctrl-C stops everything")
            running.wait_for(r"worker +\| .* ready")
            story.submitted = run("submit", PROMPT, env=env).stdout.strip()
            story.ended = await_end(database_url, story.submitted)
            story.answers["operator"] = ask(env["PORT"], "/", env["FLOWER_BASIC_AUTH"])
            children = running.descendants()
            story.children = [told(each) for each in children]
            beat = next(each for each in children if told(each).endswith("beat"))
            beat.kill()
            begin = time.monotonic()
            story.status = running.end(seconds=IN_TIME)
            story.seconds = time.monotonic() - begin
            story.lines, story.stderr = running.lines["stdout"], running.stderr
        yield story


def test_given_servers_are_used_and_none_are_started(given: Given) -> None:
    assert given.ended[0] == "completed"
    assert rows(given.database_url, "SELECT count(*) FROM schema_migrations") == [
        (len(migrations()),)
    ]
    assert not [each for each in given.children if "postgres" in each.replace("-m bot", "")]
    assert not [each for each in given.children if "redis" in each or "valkey" in each]
    assert not (given.folder / "postgres").exists()
    assert not (given.folder / "redis").exists()
    assert given.lines[0].endswith(
        f"Everything is kept in {given.folder}, "
        "but for what lies where .env or the environment say: "
        "DATABASE_URL and REDIS_URL and OUTPUT_DIR"
    )


def test_videos_go_where_they_are_wanted(given: Given, place: Path) -> None:
    urls = given.ended[1]
    assert isinstance(urls, list)
    assert urls[0].startswith((place / "elsewhere").as_uri())


def test_what_the_user_has_set_is_not_printed(given: Given) -> None:
    said = "\n".join(given.lines)
    assert given.answers["operator"][0] == 200
    assert "user operator, password as in FLOWER_BASIC_AUTH" in said
    assert "hush-hush" not in said
    assert "export" not in said
    assert "  (and DATABASE_URL and REDIS_URL and OUTPUT_DIR as here)" in said


def test_the_death_of_a_process_ends_all(given: Given) -> None:
    assert given.status == 1
    assert given.stderr == "video-bot: beat has ended with status -9"
    assert given.seconds < IN_TIME
    assert_nothing_left(given.folder)


@pytest.mark.parametrize(
    ("server", "program"),
    [
        ("Redis", "(redis|valkey)-server"),
        pytest.param("PostgreSQL", "bin/postgres", marks=pytest.mark.long),
    ],
)
def test_the_death_of_its_own_server_ends_all(place: Path, server: str, program: str) -> None:
    folder = place / f"without-{server}"
    with started("up", "--folder", str(folder), env={"SANDBOX_SECONDS": "0"}) as running:
        running.wait_for("Ctrl-C stops everything")
        running.wait_for(r"worker +\| .* ready")
        found = [each for each in running.descendants() if re.search(program, told(each))]
        found[0].kill()
        assert running.end(seconds=IN_TIME) == 1
        assert running.stderr.startswith(f"video-bot: {server} has ended")
    assert_nothing_left(folder)


def test_a_redis_that_is_not_there_is_told_of_before_anything_starts(place: Path) -> None:
    folder = place / "without-redis"
    found = run("up", "--folder", str(folder), env={"REDIS_URL": "redis://:hush@127.0.0.1:1/0"})
    assert found.returncode == 1
    assert re.fullmatch(
        r"video-bot: .*127\.0\.0\.1:1.*[^.]\. Start Redis, or correct REDIS_URL\.\n", found.stderr
    ), found.stderr
    assert "hush" not in found.stderr + found.stdout
    assert "ask for a video" not in found.stdout
    assert_nothing_left(folder)


def test_wrong_settings_are_all_named_before_anything_starts(place: Path) -> None:
    wrong = {
        "DATABASE_URL": "mysql://somewhere",
        "DATABASE_MAX_CONNECTIONS": "0",
        "REDIS_URL": "http://somewhere",
        "FLOWER_BASIC_AUTH": "password",
        "PORT": "http",
    }
    folder = place / "untouched"
    found = run("up", "--folder", str(folder), env=wrong)
    assert (found.returncode, found.stdout) == (2, "")
    assert {line.removeprefix("video-bot: ").split()[0] for line in found.stderr.splitlines()} == {
        *wrong
    }
    assert not folder.exists()


def test_where_another_one_runs_it_takes_a_folder_beside_it_and_says_so(place: Path) -> None:
    folder = place / "taken"
    folder.mkdir()
    beside = folder.with_name("taken-2")
    with (
        held(folder / "system.lock"),
        started("up", "--folder", str(folder), env={}) as running,
    ):
        running.wait_for("Ctrl-C stops everything")
        running.end(signal.SIGINT, seconds=IN_TIME)
    said = [line.partition("| ")[2] for line in running.lines["stdout"]]
    assert said[:2] == [
        f"{folder} is in use by another running system; this one has data of its own, in {beside}",
        f"Everything is kept in {beside}",
    ]
    assert_nothing_left(beside)


def test_a_folder_that_cannot_be_used_at_all_is_no_folder_in_use(place: Path) -> None:
    folder = place / "unusable"
    (folder / "system.lock").mkdir(parents=True)
    found = run("up", "--folder", str(folder), env={})
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith(f"video-bot: {folder / 'system.lock'} cannot be opened")
    assert not folder.with_name("unusable-2").exists()
