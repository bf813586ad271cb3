"""OP4, LG2: the real Flower, before real workers: what it shows, to whom, and what it keeps."""

import base64
import json
import re
import stat
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID, uuid4

import psutil
import psycopg2
import pytest
from sqlalchemy import make_url

from db.processes import free_port
from tests.bot.running import run, until
from tests.db.rows import new_request
from tests.workers.conftest import make_shared_system
from tests.workers.harness import System
from tests.workers.running import Process
from workers import chain

__all__ = ["make_shared_system"]

LOGIN = "operator:hush-hush"
PREFIX = "/watch/tasks"
PROMPT = "a zebra that nobody may read of"
TOKEN = "interaction-token-nobody-may-use"
SIGNED = "https://storage.example/v.mp4?X-Goog-Signature=nobody-may-follow"
TABLE = urlencode(
    {
        "draw": 1,
        "start": 0,
        "length": 500,
        "search[value]": "",
        "order[0][column]": 0,
        "order[0][dir]": "asc",
        "columns[0][data]": "name",
    }
)

OPEN = {"/healthcheck", "/static/(.*)", "/login/?", "/logout"}
"""What is shown to everybody: that it runs, its style sheets, that nobody is logged in."""

FINAL = ("SUCCESS", "FAILURE")


@dataclass
class Flower:
    """The process, and a browser."""

    port: int
    process: Process
    #: Everything it has shown to the operator, by path.
    shown: dict[str, str] = field(default_factory=dict)

    def ask(self, path: str, *, login: str | None = LOGIN, method: str = "GET") -> tuple[int, str]:
        """Its answer; 0 while it does not listen."""
        address = f"http://127.0.0.1:{self.port}{PREFIX}{path}"
        request = urllib.request.Request(address, method=method)
        if login:
            request.add_header(
                "Authorization", f"Basic {base64.b64encode(login.encode()).decode()}"
            )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                status, text = answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                status, text = error.code, error.read().decode()
        except OSError:
            return 0, ""
        self.shown[path] = self.shown.get(path, "") + text
        return status, text

    def tasks(self, **wanted: str) -> dict[str, dict[str, Any]]:
        status, text = self.ask(f"/api/tasks?{urlencode(wanted)}")
        found: dict[str, dict[str, Any]] = json.loads(text) if status == 200 else {}
        return found

    def read_everything(self, worker: str) -> dict[str, dict[str, Any]]:
        """Have it show every page and every answer of its API; the tasks that there are."""
        tasks = self.tasks()
        paths = [
            *("/", "/workers", "/?json=1&refresh=1", f"/worker/{quote(worker)}?limit=1000"),
            *("/tasks", f"/tasks/datatable?{TABLE}", "/broker", "/metrics", "/healthcheck"),
            *("/api/workers?refresh=1", "/api/tasks", "/api/task/types", "/api/queues/length"),
        ]
        for task_id in tasks:
            paths += [f"/task/{task_id}", f"/api/task/info/{task_id}"]
        for path in paths:
            status, text = self.ask(path)
            assert status == 200, (path, text)
        return tasks


def start(system: System, state: Path) -> Flower:
    """Flower, answering."""
    port = free_port()
    given = {
        "FLOWER_BASIC_AUTH": LOGIN,
        "FLOWER_URL_PREFIX": PREFIX,
        "FLOWER_DB": str(state),
        "PORT": str(port),
    }
    log = system.folder / f"flower-{port}.log"
    flower = Flower(port, Process(["flower"], {**system.environment, **given}, log))
    system.processes.append(flower.process)
    until(lambda: flower.ask("/healthcheck")[0] == 200, "Flower answering")
    return flower


def ask_for(system: System, request_id: UUID, link: str = "create_request") -> None:
    """Send a request on its way with all that nobody may see in its message."""
    new = new_request(id=request_id, user_id=str(request_id), prompt=PROMPT)
    secrets = {**asdict(new), "id": str(new.id)}
    headers = {chain.HEADER: secrets, "interaction_token": TOKEN, "video_url": SIGNED}
    links = chain.LINKS[chain.LINKS.index(link) :]
    with system.broker.in_use():
        chain._send(chain._links(links, request_id, headers=headers))


@dataclass
class Story:
    """What was done before Flower's eyes, and the two Flowers that saw it, one after the other."""

    system: System
    flower: Flower
    after_restart: Flower
    state: Path
    tasks: dict[str, dict[str, Any]]
    secrets: list[str]


@pytest.fixture(scope="module")
def story(make_shared_system: Any, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Requests that are made, run, wait in a worker, are retried and fail."""
    system: System = make_shared_system(RESCUE_AFTER_SECONDS=60, DATABASE_OUTAGE="refuse")
    state = tmp_path_factory.mktemp("flower") / "kept" / "state"
    flower = start(system, state)
    worker = system.start_worker()
    until(
        lambda: worker.name in flower.ask("/api/workers?refresh=1")[1], "Flower seeing the worker"
    )
    ended, failed, held, *waiting = (uuid4() for _ in range(7))
    ask_for(system, ended)
    system.wait_until_ended([ended])
    # There is no such request.
    ask_for(system, failed, "start_generation")
    until(lambda: flower.tasks(state="FAILURE"), "Flower showing a failure")
    with closing(psycopg2.connect(system.environment["DATABASE_URL"])) as conn:
        with conn.cursor() as cursor:
            cursor.execute("LOCK TABLE video_requests")
        for request_id in waiting:
            ask_for(system, request_id)
        until(lambda: len(flower.tasks(state="STARTED")) >= 2, "Flower showing running tasks")
        flower.read_everything(worker.name)
        conn.rollback()
    system.wait_until_ended(waiting)
    with system.postgres_away():
        ask_for(system, held)
        until(lambda: flower.tasks(state="RETRY"), "Flower showing a retry")
        tasks = flower.read_everything(worker.name)
    flower.process.terminate()
    assert flower.process.wait() == 0
    passwords = [
        make_url(system.environment[name]).password for name in ("DATABASE_URL", "REDIS_URL")
    ]
    secrets = [PROMPT, "zebra", TOKEN, SIGNED, "nobody-may", "hush-hush", *map(str, passwords)]
    return Story(system, flower, start(system, state), state, tasks, secrets)


def test_op4_it_shows_the_tasks(story: Story) -> None:
    """Else the tests below would find nothing because there is nothing to find."""
    names = {task["name"] for task in story.tasks.values()}
    assert names >= {*chain.LINKS}
    states = {task["state"] for task in story.tasks.values()}
    assert {"SUCCESS", "FAILURE"} <= states
    # It has been seen in that state, and may be running again by now.
    assert any(task["retries"] for task in story.tasks.values())
    everything = "".join(story.flower.shown.values())
    of_chain = [task for task in story.tasks.values() if task["name"] in chain.LINKS]
    assert len(of_chain) > 20
    for task in of_chain:
        [request_id] = re.findall(r"[0-9a-f-]{36}", task["args"])
        assert f"/task/{task['uuid']}" in story.flower.shown
        assert request_id in story.flower.shown[f"/task/{task['uuid']}"]
    assert "There is no request" in everything
    [page] = [text for path, text in story.flower.shown.items() if path.startswith("/worker/")]
    assert "create_request" in page


def test_lg2_no_page_shows_a_prompt_a_token_a_signed_url_or_a_password(story: Story) -> None:
    assert len(story.flower.shown) > 30
    for path, text in story.flower.shown.items():
        for secret in story.secrets:
            assert secret not in text, path


def test_lg2_nothing_of_it_is_in_its_log_its_state_or_the_list_of_processes(story: Story) -> None:
    kept = [path.read_bytes() for path in story.state.parent.iterdir()]
    assert any(next(iter(story.tasks)).encode() in each for each in kept)
    command = " ".join(psutil.Process(story.after_restart.process.pid).cmdline())
    places = [*kept, story.flower.process.log.encode(), command.encode()]
    for secret in story.secrets:
        assert not [place for place in places if secret.encode() in place]


def every_path() -> list[str]:
    """Every address that Flower answers, from its own table."""
    handlers = import_module("flower.urls").handlers
    patterns = [
        str((getattr(each, "regex", None) and each.regex.pattern) or each[0]) for each in handlers
    ]
    return sorted({pattern.rstrip("$") for pattern in patterns} - {".*"})


@pytest.mark.parametrize("login", [None, "operator:guess", "stranger:hush-hush", "hush-hush"])
def test_op4_without_the_password_nothing_is_shown(story: Story, login: str | None) -> None:
    flower = story.after_restart
    assert len(every_path()) > 25
    for pattern in every_path():
        path = re.sub(r"\(\.[*+]\)", "x", pattern.removesuffix("/?"))
        answers = [flower.ask(path, login=login, method=method) for method in ("GET", "POST")]
        statuses = {status for status, _ in answers}
        # A page that does not know a method says so.
        assert pattern in OPEN or (401 in statuses and statuses <= {401, 405}), pattern
        for _, text in answers:
            assert story.system.worker.name not in text
            assert not [task_id for task_id in story.tasks if task_id in text]
    for path in ("/metrics", f"/task/{next(iter(story.tasks))}", f"/tasks/datatable?{TABLE}"):
        assert flower.ask(path, login=login) == (401, "Access denied")
    assert flower.ask("/healthcheck", login=login) == (200, "OK")


def test_it_changes_nothing(story: Story) -> None:
    for path in ("/api/task/async-apply/sweep", f"/api/worker/shutdown/{story.system.worker.name}"):
        status, text = story.after_restart.ask(path, method="POST")
        assert (status, "read only" in text.lower()) == (403, True), path
    assert story.system.worker.status is None


def test_what_it_has_seen_is_there_after_a_restart(story: Story) -> None:
    again = story.after_restart.tasks()
    assert {*story.tasks} <= {*again}
    for task_id, task in story.tasks.items():
        assert again[task_id]["state"] == task["state"] or task["state"] not in FINAL
        assert story.after_restart.ask(f"/task/{task_id}")[0] == 200


def test_its_cookie_secret_is_made_once_and_nobody_else_reads_what_it_keeps(story: Story) -> None:
    secret = story.state.with_name("state.secret")
    assert len(secret.read_text()) >= 32
    # Made by the first, and older than all that the second has kept.
    assert secret.stat().st_mtime < min(
        path.stat().st_mtime for path in story.state.parent.iterdir() if path != secret
    )
    for path in story.state.parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_it_lives_behind_its_path_alone(story: Story) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"http://127.0.0.1:{story.after_restart.port}/tasks", timeout=20)
    with closing(caught.value):
        assert caught.value.code == 404
    _, page = story.after_restart.ask("/")
    links = [link for link in re.findall(r'(?:href|src)="(/[^"]*)"', page) if "//" not in link]
    assert links
    assert all(link.startswith(f"{PREFIX}/") for link in links)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"FLOWER_COOKIE_SECRET": "short"}, "FLOWER_COOKIE_SECRET must have 16 characters or more"),
        ({"FLOWER_URL_PREFIX": "../x"}, "FLOWER_URL_PREFIX must be a path like /flower"),
        ({"FLOWER_BASIC_AUTH": "a:b,c"}, "FLOWER_BASIC_AUTH must look like user:password"),
    ],
)
def test_what_is_wrong_is_told_before_it_starts(wrong: dict[str, str], said: str) -> None:
    found = run("flower", env={"FLOWER_BASIC_AUTH": LOGIN, **wrong})
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr.strip() == f"video-bot: {said}"


def test_a_place_that_cannot_be_written_is_told_in_a_sentence(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    env = {
        "FLOWER_BASIC_AUTH": LOGIN,
        "FLOWER_DB": str(blocked / "state"),
        "PORT": str(free_port()),
    }
    for own in ({}, {"FLOWER_COOKIE_SECRET": "a-secret-of-some-length"}):
        found = run("flower", env=env | own)
        assert found.returncode == 1
        assert re.fullmatch(
            r"video-bot: Flower cannot keep its state in .*/file \(.*\); FLOWER_DB names another "
            r"file\n",
            found.stderr,
        )
