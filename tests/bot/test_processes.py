"""``worker``, ``beat`` and ``flower``: how they start, refuse to start, and stop."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from sqlalchemy import make_url

from db.migrate import migrations, rollback
from db.processes import free_port
from tests.bot.conftest import NewBroker
from tests.bot.running import COMMAND, assert_nothing_left, run, started, until
from tests.conftest import MakeDatabase

CELERY = [sys.executable, "-m", "celery", "-A", "workers.app:app"]
#: Each way to start a process that needs the database.
WAYS = ("worker", "beat", "celery worker", "web")
AT_ONCE = 20.0
"""Seconds, of which nearly all are Python's imports on a busy machine."""
SECRET = "hush-hush"
NOBODY = "redis://127.0.0.1:1/0"
"""A Redis that is not there, for those who end before they need one."""


def tried(way: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What came of a start that must fail."""
    *celery, command = way.split()
    return run(command, env=env, argv=CELERY if celery else None)


def refused(way: str, env: dict[str, str]) -> list[str]:
    """The lines of a process that must refuse to start, at once."""
    begin = time.monotonic()
    found = tried(way, env)
    assert time.monotonic() - begin < AT_ONCE
    assert found.returncode == 2, found.stderr
    assert "Traceback" not in found.stderr
    return [line.removeprefix("video-bot: ") for line in found.stderr.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def unreachable() -> Iterator[dict[str, Future[tuple[subprocess.CompletedProcess[str], float]]]]:
    """Workers that look for a database that is not there, meanwhile."""
    with socket.socket() as taken, ThreadPoolExecutor() as threads:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}/videos"
        usual = f"postgresql://somebody:{SECRET}@{where}"
        in_query = f"postgresql://{where}?user=somebody&password={SECRET}"

        def start(way: str, address: str) -> tuple[subprocess.CompletedProcess[str], float]:
            begin = time.monotonic()
            found = tried(way, {"DATABASE_URL": address})
            return found, time.monotonic() - begin

        yield {
            "worker": threads.submit(start, "worker", usual),
            "celery worker": threads.submit(start, "celery worker", usual),
            "password in the query": threads.submit(start, "worker", in_query),
        }


REDIS_URL = (
    "REDIS_URL must look like redis://:password@host:6379/0, with / as %2F inside of a password"
)


@pytest.mark.parametrize("way", WAYS)
def test_without_a_database_url_it_stops_at_once(way: str) -> None:
    assert refused(way, {}) == ["DATABASE_URL environment variable is required"]


@pytest.mark.parametrize("way", WAYS)
def test_everything_missing_or_wrong_is_named_in_one_message(way: str) -> None:
    wrong = {
        "DATABASE_MAX_CONNECTIONS": "101",
        "REDIS_URL": f"http://:{SECRET}@localhost",
        "DAILY_LIMIT": "0",
        "SANDBOX_OUTCOME": "maybe",
        "LOG_LEVEL": "loud",
    }
    assert refused(way, wrong) == [
        "DATABASE_URL environment variable is required",
        "DATABASE_MAX_CONNECTIONS must be a whole number from 1 to 100",
        REDIS_URL,
        "DAILY_LIMIT must be a whole number from 1 to 1000000",
        "SANDBOX_OUTCOME must be one of 'completed', 'refused', 'busy', 'unknown', 'failed', "
        "'filtered' or 'never'",
        "LOG_LEVEL must be one of 'debug', 'info', 'warning' or 'error'",
    ]


def test_a_wrong_database_url_is_not_quoted() -> None:
    said = refused("worker", {"DATABASE_URL": f"mysql://root:{SECRET}@localhost/videos"})
    assert said == ["DATABASE_URL must look like postgresql://user:password@host:5432/database"]


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET[:4]}/{SECRET[4:]}@localhost/0",
        f"redis://:{SECRET}@localhost:99999/0",
        f"redis://:{SECRET}@localhost:port/0",
        f"redis://:{SECRET}@localhost/videos",
        f"redis://:{SECRET}@localhost/0\n",
        f"redis://:{SECRET}\u2100@localhost/0",
        "redis://[::1/0",
        "redis://",
    ],
)
def test_lg2_a_wrong_redis_url_is_not_quoted(url: str) -> None:
    assert refused("worker", {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": url}) == [
        REDIS_URL
    ]


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost/0?socket_timeout=5",
        "redis://localhost/0?ssl_cert_reqs=required",
        f"rediss://:{SECRET}@localhost/0?ssl_cert_reqs=require",
        "rediss://localhost/0?ssl_ca_certs=",
        "rediss://localhost/0?db=1",
    ],
)
def test_what_redis_is_not_asked_for_that_way_is_named(url: str) -> None:
    assert refused("worker", {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": url}) == [
        "REDIS_URL has something behind its ? that is none of ssl_cert_reqs=required (or optional,"
        " none), ssl_check_hostname=true (or false), ssl_ca_certs, ssl_certfile and"
        " ssl_keyfile, which go with rediss://"
    ]


def test_flower_names_what_it_needs() -> None:
    wrong = {"PORT": "70000", "REDIS_URL": f"http://:{SECRET}@localhost", "LOG_FORMAT": "xml"}
    assert refused("flower", wrong) == [
        "FLOWER_BASIC_AUTH environment variable is required",
        "PORT must be a whole number from 1 to 65535",
        REDIS_URL,
        "LOG_FORMAT must be one of 'auto', 'console' or 'json'",
    ]
    assert refused("flower", {"FLOWER_BASIC_AUTH": "no-colon"}) == [
        "FLOWER_BASIC_AUTH must look like user:password"
    ]


def test_the_web_process_names_what_it_needs() -> None:
    wrong = {"PORT": "http", "METRICS_TOKEN": SECRET}
    assert refused("web", wrong) == [
        "DATABASE_URL environment variable is required",
        "METRICS_TOKEN must have 16 characters or more",
        "PORT must be a whole number from 1 to 65535",
    ]


def test_settings_come_from_a_file_too_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=mysql://file\nDAILY_LIMIT=none\nLOG_LEVEL=loud\n")
    said = refused("worker", {"DAILY_LIMIT": "5"})
    assert [line.split()[0] for line in said] == ["DATABASE_URL", "LOG_LEVEL"]


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_it_stops_in_order(
    place: Path,
    way: signal.Signals,
    make_database: MakeDatabase,
    template: str,
    new_broker: NewBroker,
) -> None:
    port = str(free_port())
    folder = place / way.name
    with make_database(template) as database_url, ExitStack() as stack:
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": new_broker(),
            "FLOWER_BASIC_AUTH": f"operator:{SECRET}",
            "FLOWER_DB": str(folder / "flower"),
            "PORT": port,
            "OUTPUT_DIR": str(folder),
        }
        commands = ("worker", "beat", "flower", "web")
        own = {"web": {"PORT": str(free_port())}}
        running = {
            name: stack.enter_context(started(name, env=env | own.get(name, {})))
            for name in commands
        }
        running["worker"].wait_for(r" ready\.")
        running["beat"].wait_for(r"beat: Starting")
        until(lambda: answers(port), "Flower answering")
        running["web"].wait_for("Started server process")
        statuses = {name: each.end(way) for name, each in running.items()}
        output = {name: each.output for name, each in running.items()}
    assert statuses == dict.fromkeys(commands, 0), output
    for name in commands:
        assert "Traceback" not in output[name]
        assert SECRET not in output[name]
    address = make_url(database_url)
    assert f"postgresql://{address.username}:***@{address.host}:{address.port}/" in output["worker"]
    for said in output.values():
        assert str(address.password) not in said
        assert str(make_url(env["REDIS_URL"]).password) not in said
    assert_nothing_left(folder)


def test_beat_may_be_stopped_while_it_starts(new_broker: NewBroker) -> None:
    """Celery's handler would ask for half a module, and end in a trace back."""
    env = {"DATABASE_URL": "postgresql://localhost/unused", "REDIS_URL": new_broker()}
    argv = [sys.executable, "-X", "importtime", *COMMAND[1:]]
    with started("beat", argv=argv, env=env) as running:
        running.wait_for(r"beat: Starting")
        assert running.end(signal.SIGTERM) == 0
    before, _, _ = running.stderr.partition("beat: Starting")
    assert re.search(r"\| +celery\.app\.amqp$", before, re.MULTILINE)


@pytest.mark.parametrize("missing", ["PIL", "av"])
def test_without_a_library_of_the_provider_a_worker_says_which(
    missing: str, database_url: str
) -> None:
    without = f"import sys; sys.modules[{missing!r}] = None; from bot.cli import main; main()"
    argv = [sys.executable, "-c", without, "worker"]
    found = run(argv=argv, env={"DATABASE_URL": database_url, "REDIS_URL": NOBODY})
    assert found.returncode == 2, found.stderr
    *_, last = found.stderr.splitlines()
    assert last == f"VIDEO_PROVIDER=sandbox needs {missing}, which is not installed"
    assert "Traceback" not in found.stderr


def test_a_worker_does_not_start_on_a_database_that_is_not_migrated(
    make_database: MakeDatabase, template: str
) -> None:
    names = [each.name for each in migrations()]
    with make_database(template) as address:
        rollback(address, lambda _line: None, to=2)
        found = run("worker", env={"DATABASE_URL": address, "REDIS_URL": NOBODY})
    assert (found.returncode, found.stdout) == (1, "")
    *_, last = found.stderr.splitlines()
    told = json.loads(last)
    assert (told["level"], told["event"]) == ("error", "database_not_migrated")
    assert (told["pending"], told["remedy"]) == (names[2:], "video-bot db migrate")
    assert "Traceback" not in found.stderr


def test_flower_does_not_start_on_a_port_that_is_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        login = {"FLOWER_BASIC_AUTH": f"operator:{SECRET}", "PORT": str(port)}
        found = run("flower", env={**login, "REDIS_URL": NOBODY})
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"video-bot: Port {port} is in use; PORT names another for Flower\n"


def test_flower_says_where_it_cannot_listen() -> None:
    login = {"FLOWER_BASIC_AUTH": f"operator:{SECRET}", "PORT": "18092"}
    found = run("flower", "--address", "192.0.2.1", env={**login, "REDIS_URL": NOBODY})
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr.startswith("video-bot: Cannot listen on 192.0.2.1, port 18092: ")
    assert "Traceback" not in found.stderr


def answers(port: str) -> bool:
    """Whether Flower is there, and closed to strangers."""
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)
    except urllib.error.HTTPError as error:
        with error:
            return error.code == 401
    except OSError:
        return False
    raise AssertionError("Flower lets everybody in")


@pytest.mark.parametrize("name", ["worker", "celery worker", "password in the query"])
def test_an_unreachable_database_is_asked_again_and_then_told(
    unreachable: dict[str, Future[tuple[subprocess.CompletedProcess[str], float]]], name: str
) -> None:
    found, seconds = unreachable[name].result(60)
    assert found.returncode == 1
    waits = [line for line in found.stderr.splitlines() if "database_unreachable" in line]
    assert [line.partition('"next_try_seconds": ')[2][0] for line in waits] == ["1", "2", "4"]
    assert re.search(r"Database connection failed: .*Connection refused", found.stderr)
    assert SECRET not in found.stderr
    assert seconds >= 7
