"""``Procfile``, ``docker-compose.yml`` and ``Dockerfile``: read by parsers, their commands run."""

import os
import re
import shlex
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import make_url

from bot.cli import local
from db.processes import free_port
from tests.bot.conftest import NewBroker
from tests.bot.running import run, started, until
from tests.conftest import MakeDatabase
from tests.e2e.discord import fake_discord
from tests.test_documents import ROOT, SETTINGS, parse
from workers.app import app


def procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


def commands() -> list[str]:
    """Every command of the Procfile and of the compose file, each once."""
    ours = [each for each in compose()["services"].values() if "build" in each]
    entry = re.search(r'^ENTRYPOINT \["(.*)"\]$', (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert entry
    in_compose = [shlex.join([entry[1], *each["command"]]) for each in ours]
    return sorted({*procfile().values(), *in_compose})


def test_both_files_start_the_same_processes() -> None:
    services = {name for name, each in compose()["services"].items() if "build" in each}
    processes = {"worker", "beat", "bot", "flower", "web"}
    assert {*procfile()} - {"release"} == services - {"migrate"} == processes
    assert procfile()["release"] == "video-bot db migrate"
    assert compose()["services"]["migrate"]["command"] == ["db", "migrate"]


SIGNS = {"worker": r" ready\.", "beat": r"beat: Starting"}


@pytest.mark.parametrize("command", commands())
def test_every_command_runs(
    command: str,
    make_database: MakeDatabase,
    template: str,
    new_broker: NewBroker,
    tmp_path: Path,
) -> None:
    program, *arguments = shlex.split(command)
    assert program == "video-bot"
    parse(arguments)
    port = str(free_port())
    is_migration = arguments == ["db", "migrate"]
    with ExitStack() as stack:
        database_url = stack.enter_context(make_database(None if is_migration else template))
        env = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DATABASE_URL": database_url,
            "REDIS_URL": new_broker(),
            "FLOWER_BASIC_AUTH": "operator:password",
            "FLOWER_DB": str(tmp_path / "flower"),
            "PORT": port,
            "OUTPUT_DIR": str(tmp_path / "videos"),
        }
        argv = ["/bin/sh", "-c", f"exec {command}"]
        if is_migration:
            found = run(argv=argv, env=env)
            assert found.returncode == 0, found.stderr
            return
        discord = stack.enter_context(fake_discord())
        env |= {"DISCORD_TOKEN": discord.token, "DISCORD_API_URL": discord.url}
        with started(argv=argv, env=env) as running:
            if arguments[0] == "flower":
                until(lambda: is_closed_to_strangers(port), "Flower answering")
            elif arguments[0] == "bot":
                discord.gateway.wait_until_connected()
            elif arguments[0] == "web":
                until(lambda: is_ready(port), "The web process being ready")
            else:
                running.wait_for(SIGNS[arguments[0]])
            running.process.terminate()
            assert running.end() == 0, running.output


def is_closed_to_strangers(port: str) -> bool:
    with suppress(urllib.error.URLError):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20)
        except urllib.error.HTTPError as error:
            with error:
                return error.code == 401
    return False


def is_ready(port: str) -> bool:
    with (
        suppress(urllib.error.URLError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=20) as answer,
    ):
        return bool(answer.status == 200)
    return False


# --- Containers -----------------------------------------------------------------------------


def test_postgres_is_as_developers_expect_it() -> None:
    postgres = compose()["services"]["postgres"]
    version = re.match(r"postgres:(\d+)", postgres["image"])
    assert version
    assert int(version[1]) >= 14
    assert postgres["environment"] == {
        "POSTGRES_USER": "discord_video",
        "POSTGRES_PASSWORD": "dev_password",
        "POSTGRES_DB": "discord_video_dev",
    }
    assert postgres["ports"] == ["127.0.0.1:5432:5432"]
    assert "./sql:/docker-entrypoint-initdb.d:ro" in postgres["volumes"]
    # That folder runs every *.sql, and no rollback may be among them.
    assert not [path for path in (ROOT / "sql").glob("*.sql") if "down" in path.name]


def test_redis_refuses_rather_than_forgets() -> None:
    redis = compose()["services"]["redis"]
    assert redis["image"].startswith("redis:")
    assert "--maxmemory-policy noeviction" in " ".join(redis["command"])
    assert "--appendonly yes" in " ".join(redis["command"])


def test_nothing_is_open_to_the_network() -> None:
    ports = [port for each in compose()["services"].values() for port in each.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("name", ["worker", "beat", "flower", "web"])
def test_each_process_waits_for_what_it_needs(name: str) -> None:
    services = compose()["services"]
    service = services[name]
    assert service["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
    }
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for server in ("postgres", "redis"):
        assert services[server]["healthcheck"]["test"]
    environment = service["environment"]
    assert {*environment} <= {*SETTINGS}
    postgres = services["postgres"]["environment"]
    url = make_url(environment["DATABASE_URL"])
    assert (url.username, url.password, url.host, url.database) == (
        postgres["POSTGRES_USER"],
        postgres["POSTGRES_PASSWORD"],
        "postgres",
        postgres["POSTGRES_DB"],
    )
    assert environment["REDIS_URL"].startswith("redis://redis:6379")
    assert f"videos:{environment['OUTPUT_DIR']}" in service["volumes"]
    # Nothing is killed that is still ending its tasks.
    assert int(service["stop_grace_period"].removesuffix("s")) >= local.SHUTDOWN
    assert app.conf.worker_soft_shutdown_timeout < local.SHUTDOWN


def test_flower_keeps_its_state_on_a_volume() -> None:
    flower = compose()["services"]["flower"]
    folder = Path(flower["environment"]["FLOWER_DB"]).parent
    assert f"flower:{folder}" in flower["volumes"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    # A volume is made as the image has it there.
    assert re.search(rf"install .*--owner video-bot .*{folder}$", dockerfile, re.MULTILINE)
    assert flower["environment"]["FLOWER_DB"] in dockerfile


def test_every_volume_is_declared() -> None:
    named = {
        volume.partition(":")[0]
        for service in compose()["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith(".")
    }
    assert named == {*compose()["volumes"]}


def test_the_image_holds_what_the_program_needs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    copied = {
        name for line in re.findall(r"^COPY (.*) \S+$", text, re.MULTILINE) for name in line.split()
    }
    assert copied == {"setup.cfg", "setup.py", "README.rst", "bot", "db", "sql", "workers"}
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert "postgresql-client" in text
