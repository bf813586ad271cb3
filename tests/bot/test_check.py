"""``video-bot check``: what stands, what does not, and what to do about it."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from db.processes import free_port
from tests.bot.conftest import NewBroker
from tests.bot.running import on_a_terminal, run
from tests.conftest import MakeDatabase
from tests.e2e.discord import FakeDiscord, fake_discord
from tests.e2e.google.studio import Google, google
from workers import embedded
from workers.findings import WITHIN, Well, look
from workers.retirement import NONE_STAYS

NAMES = [
    "settings",
    "database",
    "migrations",
    "redis",
    "storage",
    "provider",
    "model",
    "discord",
    "clock",
]
SECRET = "hush-hush"


@dataclass
class Checked:
    """What a check has found."""

    status: int
    rows: list[dict[str, str | bool | None]]
    said: str

    @property
    def wrong(self) -> list[str | bool | None]:
        return [row["name"] for row in self.rows if row["ok"] is False]

    def row(self, name: str) -> tuple[str, str]:
        """What is found, and the remedy."""
        [found] = [row for row in self.rows if row["name"] == name]
        return str(found["detail"]), str(found["remedy"])


Check = Callable[..., Checked]


@pytest.fixture(scope="module")
def discord() -> Iterator[FakeDiscord]:
    with fake_discord() as found:
        yield found


@pytest.fixture(scope="module")
def installation(
    place: Path,
    make_database: MakeDatabase,
    template: str,
    new_broker: NewBroker,
    discord: FakeDiscord,
) -> Iterator[dict[str, str]]:
    """One in which all is well."""
    with make_database(template) as database_url:
        yield {
            "DATABASE_URL": database_url,
            "REDIS_URL": new_broker(),
            "OUTPUT_DIR": str(place / "videos"),
            "DISCORD_TOKEN": discord.token,
            "DISCORD_API_URL": discord.url,
        }


@pytest.fixture(scope="module")
def check(installation: dict[str, str]) -> Check:
    """Check it, with these variables besides; nothing is told that nobody should know."""

    def ask(*not_looked_at: str, **env: str) -> Checked:
        found = run("check", "--json", env={**installation, **env})
        assert found.stderr == ""
        rows = json.loads(found.stdout)
        assert [row["name"] for row in rows] == NAMES
        assert {row["name"] for row in rows if row["ok"] is None} == {*not_looked_at}
        assert all({*row} == {"name", "ok", "detail", "remedy"} for row in rows)
        assert all(row["ok"] or row["remedy"] for row in rows)
        for secret in (SECRET, installation["DISCORD_TOKEN"]):
            assert secret not in found.stdout
        return Checked(found.returncode, rows, found.stdout)

    return ask


def test_where_all_is_well(check: Check, place: Path, discord: FakeDiscord) -> None:
    found = check()
    assert (found.status, found.wrong) == (0, [])
    assert re.fullmatch(r"PostgreSQL \d+(\.\d+)*", found.row("database")[0])
    assert re.fullmatch(r"Redis [\d.]+, noeviction", found.row("redis")[0])
    assert found.row("discord")[0] == f"it is that of {discord.world.bot.name}"
    assert found.row("clock")[0] == "it agrees with the database and Discord"
    assert found.row("storage")[0] == (
        f"folder {place / 'videos'}: a mark was written, found and removed"
    )
    # Not even the folder is left behind.
    assert not (place / "videos").exists()


def test_people_get_a_table(installation: dict[str, str]) -> None:
    found = run("check", env={**installation, "OUTPUT_DIR": "/dev/null/videos"})
    assert (found.returncode, found.stderr) == (1, "")
    told = dict(re.findall(r"^(\w+) +(ok|failed|warning) ", found.stdout, re.MULTILINE))
    assert told == {**dict.fromkeys(NAMES, "ok"), "storage": "failed"}
    assert "Name a folder in OUTPUT_DIR: /dev/null is a file" in found.stdout


def test_a_person_sees_that_it_is_at_work(installation: dict[str, str]) -> None:
    status, said = on_a_terminal("check", env=installation)
    assert status == 0
    assert "Looking at everything" in said


def test_a_database_that_is_not_migrated(check: Check, empty_database_url: str) -> None:
    found = check(DATABASE_URL=empty_database_url)
    assert (found.status, found.wrong) == (1, ["migrations"])
    detail, remedy = found.row("migrations")
    assert detail.startswith("pending: 001_create_video_requests, 002_")
    assert remedy == "video-bot db migrate"


def test_servers_that_are_down(check: Check) -> None:
    nowhere = f":{SECRET}@127.0.0.1:{free_port()}"
    found = check(
        "clock",
        DATABASE_URL=f"postgresql://me{nowhere}/videos",
        REDIS_URL=f"redis://{nowhere}/0",
        DISCORD_API_URL=f"http://127.0.0.1:{free_port()}/api/v10",
    )
    assert found.status == 1
    assert found.wrong == ["database", "migrations", "redis", "discord"]
    where = nowhere.replace(SECRET, "***")
    assert found.row("database")[0].endswith(f"(postgresql://me{where}/videos)")
    assert found.row("database")[1] == "Start Postgres, or correct DATABASE_URL"
    assert found.row("redis")[1] == "Start Redis, or correct REDIS_URL"
    assert found.row("discord")[1] == "Let this machine reach DISCORD_API_URL"
    detail, remedy = found.row("clock")
    assert detail == "not looked at: nobody tells the time to compare it with"
    assert remedy == "See to the database and Discord first"


def test_servers_that_take_connections_and_answer_nothing(check: Check) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        where = f":{SECRET}@127.0.0.1:{mute.getsockname()[1]}"
        begin = time.monotonic()
        found = check(
            "clock",
            DATABASE_URL=f"postgresql://me{where}/videos",
            REDIS_URL=f"redis://{where}/0",
            DISCORD_API_URL=f"http://{where.partition('@')[2]}/api/v10",
        )
        took = time.monotonic() - begin
    assert found.status == 1
    assert found.wrong == ["database", "migrations", "redis", "discord"]
    assert found.row("database")[0].startswith("the server did not answer in time (postgresql://")
    # The start of Python on a busy machine besides.
    assert took < WITHIN + 10


def test_servers_that_answer_otherwise_than_they_should(check: Check, place: Path) -> None:
    (place / "broker").mkdir()
    with embedded.redis(place / "broker", durable=False) as address:
        with Redis.from_url(address) as client:
            client.config_set("maxmemory-policy", "allkeys-lru")
        wrong = {"OUTPUT_DIR": "/dev/null/videos", "DISCORD_TOKEN": f"{SECRET}.x.y"}
        found = check(REDIS_URL=address, **wrong)
    assert (found.status, found.wrong) == (1, ["redis", "storage", "discord"])
    detail, remedy = found.row("redis")
    assert detail.endswith("its maxmemory-policy is allkeys-lru")
    assert remedy == "Set maxmemory-policy to noeviction"
    detail, remedy = found.row("storage")
    assert "cannot be written" in detail
    assert remedy == "Name a folder in OUTPUT_DIR: /dev/null is a file"
    detail, remedy = found.row("discord")
    assert detail == "Discord does not know this DISCORD_TOKEN"
    assert "developer portal" in remedy


def test_who_runs_no_bot_needs_no_token(check: Check, discord: FakeDiscord) -> None:
    asked = discord.ledger.count()
    found = check(DISCORD_TOKEN="")
    assert (found.status, found.wrong) == (0, [])
    assert found.row("discord")[0] == "DISCORD_TOKEN is not set, so there is no bot"
    assert discord.ledger.count() == asked


def test_a_clock_that_is_wrong(check: Check, discord: FakeDiscord) -> None:
    discord.clock.advance(minutes=2)
    try:
        found = check()
    finally:
        discord.clock.advance(minutes=-2)
    assert (found.status, found.wrong) == (1, ["clock"])
    detail, remedy = found.row("clock")
    assert re.fullmatch(r"this machine is 1[12]\d s behind Discord", detail)
    assert remedy == "Have the clocks set by NTP"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    with google(tmp_path_factory.mktemp("google")) as found:
        yield found


def test_google_is_asked_for_all_that_a_video_needs(check: Check, there: Google) -> None:
    found = check(**there.environment)
    assert (found.status, found.wrong) == (0, [])
    assert found.row("storage")[0].startswith("gcs gs://")
    assert found.row("storage")[0].endswith(
        ": a mark was written, found, opened by a link and removed"
    )
    used = "veo-3.1-fast-generate-001"
    assert found.row("provider")[0] == f"veo: Vertex AI lets this account use {used}"
    # Its retirement is announced: no failure, and something to be done about it.
    assert re.search(rf"2026-11-17.*\b{used}\b", found.row("model")[0])
    assert found.row("model")[1] == NONE_STAYS
    assert not [each for each in there.vertex.calls if each.is_start]


def test_a_link_that_opens_nothing(check: Check, there: Google) -> None:
    """Nobody but its accounts may read the bucket."""
    found = check(**there.environment, GCS_LINKS="public")
    assert (found.status, found.wrong) == (1, ["storage"])
    detail, remedy = found.row("storage")
    assert detail == "a link was made, and does not open: 403 AccessDenied"
    assert "GCS_LINKS" in remedy
    assert not there.storage.names(there.environment["GCS_BUCKET"])


def test_a_bucket_and_a_project_that_are_not_ours(check: Check, there: Google) -> None:
    there.vertex.traffic.refuse("POST *:fetchPredictOperation", 403)
    found = check(**{**there.environment, "GCS_BUCKET": "somebody-elses"})
    assert (found.status, found.wrong) == (1, ["storage", "provider"])
    assert "GCS_BUCKET" in found.row("storage")[1]
    assert "roles/aiplatform.user" in found.row("provider")[1]


def test_wrong_settings_are_named_and_the_rest_is_looked_at(check: Check) -> None:
    missing = {"DATABASE_URL": "", "DAILY_LIMIT": "none", "LOG_FORMAT": SECRET, "PORT": "0"}
    found = check("database", "migrations", **missing)
    assert (found.status, found.wrong) == (2, ["settings"])
    assert found.row("settings")[0].split("; ") == [
        "DATABASE_URL environment variable is required",
        "DAILY_LIMIT must be a whole number from 1 to 1000000",
        "LOG_FORMAT must be one of 'auto', 'console' or 'json'",
        "PORT must be a whole number from 1 to 65535",
    ]
    assert found.row("clock")[0] == "it agrees with Discord"
    for unseen in ("database", "migrations"):
        assert found.row(unseen) == (
            "not looked at: DATABASE_URL environment variable is required",
            "See to the settings first",
        )


def test_people_are_told_of_what_is_not_looked_at(installation: dict[str, str]) -> None:
    found = run("check", env={**installation, "DATABASE_URL": "foo"})
    assert (found.returncode, found.stderr) == (2, "")
    told = dict(re.findall(r"^(\w+) +(ok|failed|unknown) ", found.stdout, re.MULTILINE))
    unseen = dict.fromkeys(("database", "migrations"), "unknown")
    assert told == {**dict.fromkeys(NAMES, "ok"), **unseen, "settings": "failed"}


def test_a_line_of_dotenv_that_is_not_understood_is_a_wrong_setting(
    installation: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text(f"PASSWORD {SECRET}\n")
    found = run("check", "--json", env=installation)
    assert (found.returncode, found.stderr) == (2, "")
    assert SECRET not in found.stdout
    [settings] = [row for row in json.loads(found.stdout) if row["name"] == "settings"]
    assert settings["detail"].startswith(
        "Line 1 of the file .env in this folder is not understood:"
    )
    assert settings["remedy"] == ".env.example tells of every variable"


def test_an_example_of_an_address_can_be_read(check: Check) -> None:
    found = check("database", "migrations", DATABASE_URL="foo")
    wanted = "DATABASE_URL must look like postgresql://user:password@host:5432/database"
    assert (found.status, found.row("settings")[0]) == (2, wanted)


def test_a_model_that_is_retired_is_a_wrong_setting(check: Check, there: Google) -> None:
    env = {**there.environment, "VEO_MODEL": "veo-3.0-generate-001", "DAILY_LIMIT": "none"}
    found = check("provider", "model", **env)
    assert (found.status, found.wrong) == (2, ["settings"])
    limit, model = found.row("settings")[0].split("; ", 1)
    assert limit == "DAILY_LIMIT must be a whole number from 1 to 1000000"
    assert "Google retired the model veo-3.0-generate-001" in model


def test_what_is_no_name_of_a_bucket_is_a_wrong_setting(check: Check, there: Google) -> None:
    unseen = ("storage", "provider", "model")
    found = check(*unseen, **{**there.environment, "GCS_BUCKET": "My_Bucket"})
    assert (found.status, found.wrong) == (2, ["settings"])
    assert found.row("settings")[0].startswith("GCS_BUCKET must be a bucket's name")


def test_servers_that_let_nobody_in(check: Check, installation: dict[str, str]) -> None:
    database, redis = installation["DATABASE_URL"], urlsplit(installation["REDIS_URL"])
    wrong = redis._replace(netloc=f":{SECRET}@{redis.hostname}:{redis.port}").geturl()
    found = check(DATABASE_URL=f"{database}_of_nobody", REDIS_URL=wrong)
    assert (found.status, found.wrong) == (1, ["database", "migrations", "redis"])
    assert found.row("database")[1] == ("Create that database, or correct its name in DATABASE_URL")
    assert found.row("redis")[1] == "Correct the password in REDIS_URL"
    server = urlsplit(database)
    stranger = server._replace(netloc=f"me:{SECRET}@{server.hostname}:{server.port}").geturl()
    found = check(DATABASE_URL=stranger)
    assert found.row("database")[1] == "Correct user and password in DATABASE_URL"


def test_what_hangs_is_told_to_hang_and_what_breaks_tells_no_secret() -> None:
    gate = threading.Event()

    def hang() -> Well:
        gate.wait()
        return Well("at last")

    def fail() -> Well:
        raise RuntimeError(SECRET)

    def work() -> Well:
        return Well("Bot with Authorization: Bot abcdefghijklmnopqrstuvwxyz")

    hung, broken, well = look({"hangs": hang, "breaks": fail, "works": work}, within=0.3)
    gate.set()
    assert (hung.ok, hung.detail) == (False, "no answer within 0.3 s")
    assert (broken.ok, broken.detail) == (False, "it failed in an unexpected way (RuntimeError)")
    assert (well.ok, well.detail) == (True, "Bot with Authorization: Bot ***")
