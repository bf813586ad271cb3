"""``video-bot submit``: a request put on its way, or a sentence that says why not."""

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import psycopg2
import pytest
from click.testing import CliRunner
from redis import Redis

from bot.cli.commands import cli
from bot.cli.options import new_request
from bot.cli.submit import KNOWN
from db.validation import InvalidRequest
from tests.bot.conftest import NewBroker
from tests.bot.running import COMMAND, frozen, listener, run, started
from tests.conftest import MakeDatabase
from tests.workers.waiting import until
from workers import embedded

PROMPT = "a red kite over a grassy park"
SECRET = "hush-hush"


@dataclass
class System:
    """A database and a broker with a worker."""

    env: dict[str, str]

    def submit(self, *arguments: str | bytes, **env: str) -> subprocess.CompletedProcess[str]:
        return run("submit", *arguments, env={**self.env, **env})

    def users(self) -> list[str]:
        """The users of all rows."""
        with (
            closing(psycopg2.connect(self.env["DATABASE_URL"])) as conn,
            conn.cursor() as cursor,
        ):
            cursor.execute("SELECT user_id FROM video_requests")
            return [user for (user,) in cursor]

    def row(self, request_id: str) -> tuple[object, ...]:
        with (
            closing(psycopg2.connect(self.env["DATABASE_URL"])) as conn,
            conn.cursor() as cursor,
        ):
            cursor.execute(
                "SELECT user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, "
                "resolution, generate_audio FROM video_requests WHERE id = %s",
                [request_id],
            )
            (row,) = cursor.fetchall()
        return row


@pytest.fixture(scope="module")
def system(
    place: Path, make_database: MakeDatabase, template: str, new_broker: NewBroker
) -> Iterator[System]:
    with make_database(template) as database_url:
        env = {
            "DATABASE_URL": database_url,
            "REDIS_URL": new_broker(),
            "OUTPUT_DIR": str(place / "videos"),
            "DAILY_LIMIT": "2",
            # Nothing is drawn: what counts here is the row.
            "SANDBOX_OUTCOME": "failed",
            "SANDBOX_SECONDS": "0",
        }
        with started("worker", "--concurrency", "1", env=env) as worker:
            worker.wait_for(r" ready\.")
            yield System(env)


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, nor will."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@dataclass
class Timed:
    result: subprocess.CompletedProcess[str]
    seconds: float


@pytest.fixture(scope="module", autouse=True)
def waiting(system: System, closed_port: int) -> Iterator[dict[str, Future[Timed]]]:
    """Submits that have seconds to wait for a server, meanwhile."""

    def submit(address: dict[str, str]) -> Timed:
        begin = time.monotonic()
        found = system.submit(PROMPT, "--user", "away", **address)
        return Timed(found, time.monotonic() - begin)

    # It takes connections, and answers nothing.
    with socket.create_server(("127.0.0.1", 0)) as mute, ThreadPoolExecutor() as threads:
        frozen = f"postgresql://somebody:{SECRET}@127.0.0.1:{mute.getsockname()[1]}/videos"
        redis = f"redis://:{SECRET}@127.0.0.1:{mute.getsockname()[1]}/0"
        postgres = f"postgresql://somebody:{SECRET}@127.0.0.1:{closed_port}/videos"
        yield {
            "postgres away": threads.submit(submit, {"DATABASE_URL": postgres}),
            "postgres mute": threads.submit(submit, {"DATABASE_URL": frozen}),
            "redis mute": threads.submit(submit, {"REDIS_URL": redis}),
        }


def test_it_prints_the_id_and_nothing_else(system: System) -> None:
    found = system.submit(PROMPT)
    assert (found.returncode, found.stderr) == (0, "")
    assert str(UUID(found.stdout.strip())) + "\n" == found.stdout
    row = ("cli", "cli", "cli", PROMPT, 4, "16:9", "720p", True)
    assert system.row(found.stdout.strip()) == row


def test_where_the_id_cannot_be_printed_it_is_told_how_to_ask_for_no_second_video(
    system: System,
) -> None:
    with Path("/dev/full").open("w") as full:
        found = subprocess.run(
            [*COMMAND, "submit", PROMPT, "--user", "full"],
            env={**os.environ, **system.env},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert found.returncode == 1
    said = re.fullmatch(
        r"video-bot: The request is on its way, but its id cannot be printed \(No space left on"
        r" device\): it is (\S+)\. Tried again with --id \1, that asks for no second video\n",
        found.stderr,
    )
    assert said
    until(lambda: "full" in system.users(), what="it is taken on")
    assert system.row(said[1])[0] == "full"


def test_what_is_asked_for_is_in_the_row(system: System) -> None:
    request_id = str(uuid4())
    who = ["--user", "1001", "--guild", "2002", "--channel", "3003", "--id", request_id]
    what = ["--duration", "8", "--aspect-ratio", "9:16", "--resolution", "1080p", "--no-audio"]
    found = system.submit(f"{PROMPT}, größer ✨", *who, *what)
    assert (found.returncode, found.stdout) == (0, f"{request_id}\n")
    row = ("1001", "2002", "3003", f"{PROMPT}, größer ✨", 8, "9:16", "1080p", False)
    assert system.row(request_id) == row


def test_the_same_id_twice_is_one_request(system: System) -> None:
    request_id = str(uuid4())
    arguments = [PROMPT, "--user", "twice", "--id", request_id]
    # Once in the limit, and a third time beyond it, which an id that is known does not meet.
    for daily_limit, said in (("2", ""), ("2", f"{KNOWN}\n"), ("1", f"{KNOWN}\n")):
        found = system.submit(*arguments, DAILY_LIMIT=daily_limit)
        assert (found.returncode, found.stdout, found.stderr) == (0, f"{request_id}\n", said)
    assert system.users().count("twice") == 1


def test_an_id_of_something_else_is_bad_input(system: System) -> None:
    request_id = str(uuid4())
    arguments = ["--user", "mistaken", "--id", request_id]
    assert system.submit(PROMPT, *arguments).returncode == 0
    other = system.submit(f"{PROMPT}, at night", *arguments)
    assert run("delete", request_id, env=system.env).returncode == 0
    deleted = system.submit(PROMPT, *arguments)
    for found, what in ((other, "with another prompt"), (deleted, "that was deleted")):
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith(f"video-bot: There is a request {what} with this id already")
    assert system.users().count("mistaken") == 1


def test_beyond_the_limit_it_says_when_to_come_back(system: System) -> None:
    statuses = [system.submit(PROMPT, "--user", "keen").returncode for _ in range(2)]
    found = system.submit(PROMPT, "--user", "keen")
    assert [*statuses, found.returncode] == [0, 0, 3]
    assert found.stdout == ""
    sentence = (
        r"video-bot: All 2 videos of the last 24 hours are used\. The next one comes free at "
        r"\d{4}-\d\d-\d\d \d\d:\d\d UTC \(resets in 2[34]h \d+m\)\.\n"
    )
    assert re.fullmatch(sentence, found.stderr), found.stderr
    assert system.users().count("keen") == 2


def test_without_a_worker_it_says_so(system: System, new_broker: NewBroker) -> None:
    arguments = [PROMPT, "--user", "early", "--wait", "0.3"]
    found = system.submit(*arguments, REDIS_URL=new_broker())
    assert found.returncode == 0
    assert UUID(found.stdout.strip())
    assert (
        found.stderr
        == "No worker has taken it up yet, or one with stricter limits has refused it.\n"
    )


def test_without_waiting_it_says_nothing_of_it(system: System, new_broker: NewBroker) -> None:
    found = system.submit(PROMPT, "--user", "early", "--wait", "0", REDIS_URL=new_broker())
    assert (found.returncode, found.stderr) == (0, "")
    assert UUID(found.stdout.strip())


def assert_it_names_redis(found: subprocess.CompletedProcess[str]) -> None:
    assert (found.returncode, found.stdout) == (1, "")
    assert re.fullmatch(
        r"video-bot: Redis did not confirm the message: .*\. (Start Redis, or correct REDIS_URL|"
        r"Correct the password in REDIS_URL), and try again with --id [0-9a-f-]{36}: "
        r"should this one have arrived all the same, that asks for no second video\n",
        found.stderr,
    ), found.stderr
    assert SECRET not in found.stderr


def test_redis_away(system: System, closed_port: int) -> None:
    begin = time.monotonic()
    found = system.submit(
        PROMPT, "--user", "away", REDIS_URL=f"redis://:{SECRET}@127.0.0.1:{closed_port}/0"
    )
    assert time.monotonic() - begin < 15
    assert_it_names_redis(found)
    assert "away" not in system.users()


BAD_INPUT: dict[str, tuple[list[str | bytes], str]] = {
    "empty": ([""], "The prompt must have 5 to 600 characters; this one has 0."),
    "blank": (["        "], "The prompt must have 5 to 600 characters; this one has 0."),
    "short": (["kite"], "The prompt must have 5 to 600 characters; this one has 4."),
    "long": (["k" * 601], "The prompt must have 5 to 600 characters; this one has 601."),
    "not UTF-8": (
        [b"a red kite \xff"],
        "The prompt must be plain text; character 12 of it (U+DCFF) cannot be written.",
    ),
    "5 s": ([PROMPT, "--duration", "5"], "The duration must be 4, 6 or 8 seconds, not 5."),
    "16:10": (
        [PROMPT, "--aspect-ratio", "16:10"],
        "The aspect ratio must be 16:9 or 9:16, not 16:10.",
    ),
    "4K": ([PROMPT, "--resolution", "4K"], "The resolution must be 720p or 1080p, not 4K."),
    "another model": ([PROMPT, "--model", "veo"], "The model must be sandbox."),
    "nothing to avoid": (
        [PROMPT, "--negative-prompt", ""],
        "The negative prompt must have 1 to 600 characters; this one has 0.",
    ),
    "seed": (
        [PROMPT, "--seed", "-1"],
        "The seed must be a whole number from 0 to 4294967295, not -1.",
    ),
    "no user": (
        [PROMPT, "--user", ""],
        "The user must have 1 to 100 characters; this one has 0.",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_told_in_a_sentence(system: System, case: str) -> None:
    arguments, sentence = BAD_INPUT[case]
    marked = arguments if "--user" in arguments else [*arguments, "--user", "clumsy"]
    found = system.submit(*marked)
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"video-bot: {sentence}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([PROMPT, "--id", "nonsense"], "'nonsense' is not a valid UUID"),
        ([PROMPT, "--duration", "long"], "'long' is not a valid integer"),
        ([PROMPT, "--wait", "-1"], "-1"),
        ([], "Missing argument 'PROMPT'"),
    ],
)
def test_what_the_command_line_cannot_read_is_named(
    system: System, arguments: list[str], named: str
) -> None:
    found = system.submit(*arguments)
    assert (found.returncode, found.stdout) == (2, "")
    assert named in found.stderr
    assert "Traceback" not in found.stderr


def test_no_bad_input_has_left_a_row(system: System) -> None:
    assert not {"", "clumsy"} & {*system.users()}


def test_a_nul_cannot_even_be_typed_and_is_refused(system: System) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in system.env.items():
            patch.setenv(name, value)
        found = CliRunner().invoke(cli, ["submit", "a red\0kite", "--user", "clumsy"])
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr == (
        "video-bot: The prompt must be plain text; character 6 of it (U+0000) cannot be written.\n"
    )


def test_several_problems_are_told_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        new_request(
            "\ud800" * 10,
            duration_seconds=5,
            aspect_ratio="16:10",
            resolution="4K",
            generate_audio=True,
            user="",
        )
    said = str(caught.value)
    for what in ("prompt", "duration", "aspect ratio", "resolution", "user"):
        assert f"The {what} must" in said
    said.encode()


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1"])
def test_a_wait_without_an_end_is_refused(seconds: str) -> None:
    found = run("submit", PROMPT, "--wait", seconds, env={})
    assert (found.returncode, found.stdout) == (2, "")
    assert "Invalid value for '--wait'" in found.stderr


def test_settings_that_are_missing_are_named(system: System) -> None:
    del system
    found = run("submit", PROMPT, env={"DAILY_LIMIT": "many"})
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == (
        "video-bot: DATABASE_URL environment variable is required\n"
        "DAILY_LIMIT must be a whole number from 1 to 1000000\n"
    )


def test_redis_mute(system: System, waiting: dict[str, Future[Timed]]) -> None:
    found = waiting["redis mute"].result(60)
    assert found.seconds < 30
    assert_it_names_redis(found.result)
    assert "away" not in system.users()


def test_redis_frozen_and_the_same_request_when_it_has_thawed(
    system: System, tmp_path: Path
) -> None:
    request_id = str(uuid4())
    with (
        embedded.redis(tmp_path, durable=False) as url,
        closing(Redis.from_url(url)) as client,
    ):
        asked = [PROMPT, "--user", "away", "--wait", "0", "--id", request_id]
        with frozen(listener(url)):
            begin = time.monotonic()
            found = system.submit(*asked, REDIS_URL=url)
            seconds = time.monotonic() - begin
        assert_it_names_redis(found)
        assert f"--id {request_id}: " in found.stderr
        # Two for Redis, where it once were ten and more; the rest is Python's on a busy machine.
        assert seconds < 12
        assert client.keys("starting") == []
        found = system.submit(*asked, REDIS_URL=url)
        assert (found.returncode, found.stdout) == (0, f"{request_id}\n")
        assert client.llen("starting") == 1
    assert "away" not in system.users()


def test_postgres_away(waiting: dict[str, Future[Timed]], closed_port: int) -> None:
    found = waiting["postgres away"].result(60)
    assert (found.result.returncode, found.result.stdout) == (1, "")
    *before, last = found.result.stderr.splitlines()
    # Its tries are told to a person in words, wherever these go.
    tries = [re.findall(r"database_unreachable.* next_try_seconds=(\d)", line) for line in before]
    assert tries == [["1"], ["2"], ["4"]]
    assert last.startswith("video-bot: Database connection failed: ")
    assert f"postgresql://somebody:***@127.0.0.1:{closed_port}/videos, 3 retries)" in last
    assert SECRET not in found.result.stderr
    assert "Traceback" not in found.result.stderr
    # 1, 2 and 4 s between four attempts.
    assert 7 <= found.seconds < 30


def test_postgres_mute(waiting: dict[str, Future[Timed]]) -> None:
    found = waiting["postgres mute"].result(60)
    assert (found.result.returncode, found.result.stdout) == (1, "")
    assert "the server did not answer in time" in found.result.stderr
    assert SECRET not in found.result.stderr
    # Four attempts of 2 s, where each other process has 5, and 1, 2 and 4 s between them.
    assert 15 <= found.seconds < 27


def test_vd1_a_remix_is_a_request_like_its_source_that_names_it(system: System) -> None:
    what = ["--duration", "8", "--aspect-ratio", "9:16", "--resolution", "1080p", "--no-audio"]
    source = system.submit(PROMPT, "--user", "mixed", *what).stdout.strip()
    again = run("remix", source, "--user", "mixed", env=system.env)
    assert (again.returncode, again.stderr) == (0, "")
    assert system.row(again.stdout.strip())[3:] == (PROMPT, 8, "9:16", "1080p", False)
    other = run("remix", source, "a blue kite", "--user", "mixer", "--guild", "g", env=system.env)
    assert (other.returncode, other.stderr) == (0, "")
    row = ("mixer", "g", "cli", "a blue kite", 8, "9:16", "1080p", False)
    assert system.row(other.stdout.strip()) == row
    shown = run("show", other.stdout.strip(), "--json", env=system.env)
    assert json.loads(shown.stdout)["source_id"] == source
    # Its limit is that of any request.
    refused = run("remix", source, "--user", "mixed", env=system.env)
    assert (refused.returncode, refused.stdout) == (3, "")


@pytest.mark.parametrize(
    ("arguments", "status", "sentence"),
    [
        (["not-an-id"], 2, "not a valid UUID"),
        ([str(UUID(int=7))], 1, f"There is no request {UUID(int=7)}"),
    ],
)
def test_vd1_what_cannot_be_remixed_is_told(
    system: System, arguments: list[str], status: int, sentence: str
) -> None:
    found = run("remix", *arguments, env=system.env)
    assert (found.returncode, found.stdout) == (status, "")
    assert sentence in found.stderr


def test_vd1_a_remix_of_nothing_much_is_refused_like_any_prompt(system: System) -> None:
    source = system.submit(PROMPT, "--user", "brief").stdout.strip()
    found = run("remix", source, "", "--user", "brief", env=system.env)
    assert (found.returncode, found.stdout) == (2, "")
    assert "The prompt must have 5 to 600 characters; this one has 0." in found.stderr
