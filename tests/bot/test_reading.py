"""``video-bot history``, ``show``, ``events`` and ``stats``: what was asked for, and what of it."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import click.testing
import pytest
from click.testing import CliRunner
from sqlalchemy import insert

from bot import words
from bot.cli import reading, stats
from bot.cli.commands import cli
from bot.plain import as_json, plain
from db import events, history, late_results, pacing, statistics
from db.engine import ANSWER_TIMEOUT, Database
from db.records import Request
from db.settings import DatabaseSettings
from db.states import Status
from db.tables import video_requests
from tests.bot.running import run
from tests.conftest import MakeDatabase
from tests.db.histories import Made, made_at
from tests.db.rows import PREFIX, URLS, admitted, in_state, make_due

Run = Callable[..., click.testing.Result]

NOW = datetime.now(UTC)
LONG_AGO = datetime(2024, 2, 29, 23, 59, 59, 999999, tzinfo=UTC)
NASTY = "[bold]red[/] \x1b[31mkite\x1b]0;owned\x07 \x9b2J\u202eetik\nnext \\[/bold] größer ✨"
TOLD_SAFELY = "[bold]red[/] \\x1b[31mkite\\x1b]0;owned\\x07 \\x9b2J\\u202eetik next"


def made(number: int, status: Status, **changes: Any) -> Made:
    """The `number`-th of a history, so many hours ago."""
    fields: dict[str, Any] = {
        "id": UUID(int=number),
        "user_id": "cli",
        "guild_id": "cli",
        "prompt": f"kite number {number}",
        "status": status,
        "taken_ms": 1000 * number,
    }
    return made_at(changes.pop("created_at", NOW - timedelta(hours=number)), **fields | changes)


HISTORY = [
    made(1, Status.PENDING, prompt=NASTY),
    made(2, Status.GENERATING),
    made(3, Status.COMPLETED),
    made(4, Status.FAILED),
    made(5, Status.TIMEOUT, cost_usd=None),
    made(6, Status.COMPLETED, user_id="\x1b[1mbob", guild_id="guild", prompt=NASTY),
    made(7, Status.COMPLETED, user_id="alice", guild_id="guild"),
    made(8, Status.COMPLETED, user_id="alice", guild_id="guild", created_at=LONG_AGO),
]


@pytest.fixture(scope="module")
def address(make_database: MakeDatabase, template: str) -> Iterator[str]:
    with make_database(template) as url:
        with connection(url) as conn:
            conn.execute(insert(video_requests), [each.row() for each in HISTORY])
        yield url


@contextmanager
def connection(url: str) -> Iterator[Any]:
    database = Database(DatabaseSettings.model_validate({"database_url": url}))
    with database.begin() as conn:
        yield conn
    database.close()


@pytest.fixture
def video_bot(address: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, run in this process for it is quicker; that must go on logging as it did."""
    monkeypatch.setattr("workers.logs.configure", lambda *_, **__: None)
    monkeypatch.setenv("DATABASE_URL", address)
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def ids(result: click.testing.Result) -> list[int]:
    assert (result.exit_code, result.stderr) == (0, "")
    return [UUID(found).int for found in re.findall(r"^([0-9a-f-]{36}) ", result.stdout, re.M)]


def parsed(result: click.testing.Result) -> Any:
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.isascii()
    assert result.stdout.count("\n") == 1
    return json.loads(result.stdout)


def fact(result: click.testing.Result, name: str) -> str:
    assert (result.exit_code, result.stderr) == (0, "")
    found = re.search(rf"^{name}  +(.*?) *$", result.stdout, re.M)
    assert found, f"{name} is not in\n{result.stdout}"
    return found[1]


# --- history ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], [1, 2, 3, 4, 5]),
        (["--user", "alice"], [7, 8]),
        (["--guild", "guild"], [6, 7, 8]),
        (["--limit", "2"], [1, 2]),
        (["--limit", "2", "--offset", "3"], [4, 5]),
        (["--status", "failed", "--status", "timeout"], [4, 5]),
        (["--guild", "guild", "--since", "2024-03-01"], [6, 7]),
        (["--user", "alice", "--until", "2024-03-01"], [8]),
        (["--user", "alice", "--until", "2024-02-29T23:59:59.999999"], []),
        (["--user", "alice", "--until", "2024-03-01T00:59:59.999999+01:00"], []),
        (["--user", "alice", "--since", "2024-02-29T23:59:59.999999Z"], [7, 8]),
        (["--user", "Alice"], []),
        (["--offset", "1000000000"], []),
    ],
)
def test_history_lists_what_is_asked_for(
    video_bot: Run, options: list[str], expected: list[int]
) -> None:
    found = video_bot("history", *options)
    assert ids(found) == expected
    assert (found.stdout == "There are no such requests.\n") == (not expected)
    assert [UUID(each["id"]).int for each in parsed(video_bot("history", *options, "--json"))] == (
        expected
    )


def test_history_shows_what_became_of_each(video_bot: Run) -> None:
    heading, *lines = video_bot("history").stdout.splitlines()
    assert heading.split() == ["id", "asked", "(UTC)", "status", "took", "prompt"]
    assert lines[4].split() == [
        str(UUID(int=5)),
        *f"{HISTORY[4].created_at:%Y-%m-%d %H:%M}".split(),
        *("timeout", "5.0", "s", "kite", "number", "5"),
    ]
    heading, *_ = video_bot("history", "--guild", "guild").stdout.splitlines()
    assert "user" in heading.split()


@pytest.mark.parametrize(
    "asked",
    [
        ["history"],
        ["history", "--guild", "guild"],
        ["show", str(UUID(int=6))],
        ["stats", "--guild", "guild"],
        ["stats", "--limits", "1"],
    ],
    ids=" ".join,
)
def test_nobody_can_write_to_the_terminal_but_us(video_bot: Run, asked: list[str]) -> None:
    found = video_bot(*asked)
    assert found.exit_code == 0
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", found.stdout)
    assert (TOLD_SAFELY in found.stdout) or "--limits" in asked
    if "history" not in asked[0]:
        assert "\\x1b[1mbob" in found.stdout or "--guild" in asked


def test_json_holds_every_column_as_it_is(video_bot: Run, address: str) -> None:
    listed = parsed(video_bot("history", "--guild", "guild", "--json"))
    with connection(address) as conn:
        requests = history.of_guild(conn, "guild")
    for told, request in zip(listed, requests, strict=True):
        for field in fields(Request):
            value = getattr(request, field.name)
            match value:
                case datetime():
                    assert datetime.fromisoformat(told[field.name]) == value
                    assert told[field.name].endswith("+00:00")
                case UUID() | Decimal():
                    assert told[field.name] == str(value)
                case _:
                    assert told[field.name] == value
        assert told["queueing_ms"] == 0
    assert listed[0]["prompt"] == NASTY


# --- show and events --------------------------------------------------------------------------


def test_show_tells_what_is_kept(video_bot: Run, address: str) -> None:
    with connection(address) as conn:
        request = history.by_id(conn, UUID(int=3))
    assert request
    found = video_bot("show", str(UUID(int=3)))
    assert fact(found, "prompt") == "kite number 3"
    assert fact(found, "duration_ms") == "3000"
    assert fact(found, "cost_usd") == "0.4000"
    assert fact(found, "created_at") == str(request.created_at)
    assert "gcs_prefix" not in found.stdout
    # It waits for nothing, and lies on an operator's machine alone.
    told = parsed(video_bot("show", str(UUID(int=3)), "--json"))
    assert told == {**plain(request), "place": None, "link": None}


def test_show_tells_the_place_of_what_waits_for_its_turn(
    video_bot: Run, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    waiting = [admitted(database, user_id=user) for user in ("alice", "bob")]
    make_due(database, *waiting)
    with database.begin() as conn:
        for request_id in waiting:
            pacing.line_up(conn, request_id)
    found = video_bot("show", str(waiting[1]))
    assert fact(found, "place") == "number 2 in the queue"
    told = [line.split()[0] for line in found.stdout.splitlines()]
    assert told.index("place") == told.index("status") + 1
    # It is due at no time, and costs nothing.
    assert not {"due_at", "billed"}.intersection(told)
    assert parsed(video_bot("show", str(waiting[1]), "--json"))["place"] == 2


def test_a_video_that_came_late_is_told_of(
    video_bot: Run, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    request_id = in_state(database, Status.TIMEOUT, claim=uuid4(), user_id="cli")
    assert "late" not in video_bot("history").stdout
    with database.begin() as conn:
        assert not late_results.found(conn, request_id, PREFIX, URLS)
    found = video_bot("show", str(request_id))
    assert fact(found, "status") == "timeout"
    assert fact(found, "late") == "its video came after the timeout"
    assert "timeout, late" in video_bot("history").stdout


def test_events_are_told_in_order(
    video_bot: Run, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    request_id = in_state(database, Status.FAILED, claim=uuid4())
    found = video_bot("events", str(request_id))
    assert (found.exit_code, found.stderr) == (0, "")
    heading, *lines = found.stdout.splitlines()
    assert heading.split() == ["at", "(UTC)", "after", "event", "data"]
    kinds = ["created", "status_changed", "status_changed", "failed"]
    assert [line.split()[4] for line in lines] == kinds
    assert '{"to": "failed", "from": "generating"}' in lines[2]
    listed = parsed(video_bot("events", str(request_id), "--json"))
    with database.begin() as conn:
        assert listed == plain(events.of_request(conn, request_id))
    assert [each["event_type"] for each in listed] == kinds


def test_without_events_it_says_so(video_bot: Run) -> None:
    found = video_bot("events", str(UUID(int=1)))
    assert (found.exit_code, found.stdout) == (0, "Nothing was written down.\n")
    assert parsed(video_bot("events", str(UUID(int=1)), "--json")) == []


@pytest.mark.parametrize("command", ["show", "events"])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_an_unknown_id_is_told_in_a_sentence(
    video_bot: Run, command: str, as_json: list[str]
) -> None:
    found = video_bot(command, str(UUID(int=0)), *as_json)
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == f"video-bot: There is no request {UUID(int=0)}\n"


# --- stats ------------------------------------------------------------------------------------


def test_stats_are_of_everybody_and_the_last_24_hours(video_bot: Run) -> None:
    found = video_bot("stats")
    assert found.stdout.startswith("Requests from ")
    assert fact(found, "completed") == "3"
    assert fact(found, "failed or timed out") == "2, 40.0 % of what has ended"
    assert fact(found, "average") == "5.3 s"
    assert fact(found, "P50") == "6.0 s"
    assert fact(video_bot("stats", "--all-time"), "completed") == "4"
    assert fact(video_bot("stats", "--until", "2024-03-01"), "completed") == "1"
    assert fact(video_bot("stats", "--since", "2024-02-29T23:59"), "completed") == "4"
    nothing = video_bot("stats", "--since", "2020-01-01", "--until", "2021-01-01")
    assert nothing.stdout == (
        "There are no requests from 2020-01-01 00:00 to 2021-01-01 00:00 (UTC).\n"
    )


def test_stats_of_a_user_are_of_all_time(video_bot: Run) -> None:
    found = video_bot("stats", "--user", "alice")
    assert found.stdout.startswith("Requests of all time:\n")
    assert fact(found, "total") == "2"
    assert fact(found, "in progress") == "0"
    assert fact(found, "cost") == r"$0.80"
    assert fact(video_bot("stats", "--user", "alice", "--since", "2024-03-01"), "total") == "1"
    assert video_bot("stats", "--user", "eve").stdout == "There are no requests of all time.\n"


@pytest.mark.parametrize(
    ("by", "start"),
    [([], "2024-02-29"), (["--by", "week"], "2024-02-26"), (["--by", "month"], "2024-02-01")],
)
def test_stats_of_a_guild_are_by_period(video_bot: Run, by: list[str], start: str) -> None:
    found = video_bot("stats", "--guild", "guild", *by, "--all-time")
    assert fact(found, "total") == "3"
    (line,) = (line for line in found.stdout.splitlines() if line.startswith(start))
    assert line.split() == [start, "1", "0", "0", "1", "0", "0", "8.0", "s", "$0.40"]
    assert fact(video_bot("stats", "--guild", "guild", *by), "total") == "2"
    assert re.search(r"^ +1  kite number 7", found.stdout, re.M)


def test_stats_tell_who_reached_a_limit(video_bot: Run) -> None:
    found = video_bot("stats", "--limits")
    assert [line.split() for line in found.stdout.splitlines()[1:]] == [
        ["cli", "5", *f"{HISTORY[0].created_at:%Y-%m-%d %H:%M}".split()]
    ]
    nobody = video_bot("stats", "--limits", "6", "--all-time")
    assert nobody.stdout == "Nobody has reached the limit of all time.\n"


def test_stats_for_programs_are_those_of_the_database(video_bot: Run, address: str) -> None:
    since = "2024-02-01T00:00:00+00:00"
    bounds = {"since": since, "until": None}
    moment = datetime.fromisoformat(since)
    with connection(address) as conn:
        of_all = statistics.of_all(conn, since=moment)
        of_user = statistics.of_user(conn, "alice", since=moment)
        of_guild = statistics.of_guild(conn, "guild", by="week", since=moment)
        limits = statistics.who_reached_limit(conn, 2, since=moment)

    def told(*options: str) -> Any:
        return parsed(video_bot("stats", *options, "--since", since, "--json"))

    assert told() == {**bounds, **plain(of_all)}
    assert told("--user", "alice") == {**bounds, **plain(of_user)}
    assert told("--guild", "guild", "--by", "week") == {**bounds, **plain(of_guild)}
    assert told("--limits", "2") == {**bounds, "limit": 2, "users": plain(limits)}
    of_alice = told("--user", "alice")
    assert of_alice["by_status"] == {**dict.fromkeys(map(str, Status), 0), "completed": 2}
    assert of_alice["cost_usd"] == "0.8000"
    assert (of_alice["total"], of_alice["failure_rate"], of_alice["failures"]) == (2, 0, 0)
    everything = parsed(video_bot("stats", "--all-time", "--json"))
    assert (everything["since"], everything["until"]) == (None, None)


@pytest.mark.parametrize(
    ("end", "by", "start"),
    [
        ("2024-03-01T12:00", None, "2024-02-29T12:00"),
        ("2024-03-01T12:00", "day", "2024-02-01"),
        ("2024-03-01T00:00", "day", "2024-01-31"),
        ("2024-03-03T23:59", "week", "2023-12-11"),
        ("2024-03-04T00:00", "week", "2023-12-11"),
        ("2024-03-04T00:01", "week", "2023-12-18"),
        ("2024-02-29T12:00", "month", "2023-03-01"),
        ("2024-01-01T00:00", "month", "2023-01-01"),
        ("2024-12-31T00:00", "month", "2024-01-01"),
        ("0001-01-01T00:00", "day", "0001-01-01"),
        ("0001-01-01T12:00", "month", "0001-01-01"),
        ("0001-01-01T12:00", None, "0001-01-01"),
    ],
)
def test_where_a_range_begins_unless_it_is_said(end: str, by: stats.By | None, start: str) -> None:
    moment = datetime.fromisoformat(end).replace(tzinfo=UTC)
    assert stats.default_start(moment, by) == datetime.fromisoformat(start).replace(tzinfo=UTC)


# --- what can go wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (["show", "7"], "'7' is not a valid UUID"),
        (["events", "seven"], "'seven' is not a valid UUID"),
        (["show"], "Missing argument 'ID'"),
        (["history", "--since", "yesterday"], "'yesterday' is not a date like 2026-02-28"),
        (["history", "--until", "2026-02-29"], "'2026-02-29' is not a date"),
        (["stats", "--since", "0001-01-01T00:00+05:00"], "is not a date"),
        (["stats", "--since", ""], "'' is not a date"),
        (["history", "--status", "lost"], "'lost' is not one of 'pending', 'generating',"),
        (["history", "--limit", "0"], "0 is not in the range"),
        (["history", "--user", ""], "Invalid value for '--user': it is empty."),
        (["stats", "--guild", " "], "Invalid value for '--guild': it is empty."),
        (["events", str(UUID(int=7)), "--limit", "5"], "--limit goes with --user"),
        (["history", "--offset", "-1"], "-1 is not in the range"),
        (["history", "--user", "a", "--guild", "b"], "--user and --guild exclude each other"),
        (["history", "--user", "a\0b"], r"'a\x00b' is not plain text"),
        (["stats", "--guild", "\udcff"], r"'\udcff' is not plain text"),
        (["history", "--since", "2026-01-02", "--until", "2026-01-02"], "--since must be before"),
        (["stats", "--since", "2026-01-02", "--until", "2026-01-01"], "--since must be before"),
        (["stats", "--user", "a", "--guild", "b"], "exclude each other"),
        (["stats", "--user", "a", "--limits"], "exclude each other"),
        (["stats", "--by", "day"], "--by goes with --guild"),
        (["stats", "--guild", "a", "--by", "year"], "'year' is not one of"),
        (["stats", "--all-time", "--since", "2026-01-01"], "--all-time goes with neither"),
        (["stats", "--limits", "0"], "0 is not in the range"),
    ],
)
def test_bad_input_is_named(video_bot: Run, wrong: list[str], named: str) -> None:
    found = video_bot(*wrong)
    assert (found.exit_code, found.stdout) == (2, "")
    assert named in found.stderr


def test_a_report_may_take_longer_than_a_page(
    video_bot: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience: list[timedelta] = []

    class Noted(Database):
        def __init__(self, settings: DatabaseSettings, *, answer_timeout: timedelta) -> None:
            patience.append(answer_timeout)
            super().__init__(settings, answer_timeout=answer_timeout)

    monkeypatch.setattr("db.engine.Database", Noted)
    video_bot("history")
    video_bot("stats")
    assert patience == [ANSWER_TIMEOUT, timedelta(seconds=35)]


def test_the_real_command_tells_on_stderr_what_is_wrong(address: str) -> None:
    found = run("history", env={})
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == "video-bot: DATABASE_URL environment variable is required\n"
    away = "postgresql://somebody:hush@127.0.0.1:1/videos"
    found = run("stats", env={"DATABASE_URL": away})
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        "video-bot: Database connection failed: Connection refused "
        "(postgresql://somebody:***@127.0.0.1:1/videos)\n"
    )
    found = run("history", "--user", b"\xff", env={"DATABASE_URL": address})
    assert (found.returncode, found.stdout) == (2, "")
    assert "is not plain text" in found.stderr


def test_the_real_command_prints_json_and_nothing_else(address: str) -> None:
    found = run("stats", "--all-time", "--json", env={"DATABASE_URL": address})
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)["total"] >= len(HISTORY)


# --- words and JSON ---------------------------------------------------------------------------


def test_money_and_time_in_words() -> None:
    assert words.dollars(Decimal("1234.5")) == "$1,234.50"
    assert words.dollars(Decimal(0)) == "$0.00"
    assert words.seconds(1234.56) == "1.2 s"
    assert words.seconds(3_600_000) == "3,600.0 s"
    assert words.seconds(None) == ""


def test_json_knows_what_it_does_not_know() -> None:
    assert as_json([None, True, 1.5, Status.FAILED, {"a": (1,)}]) == (
        '[null, true, 1.5, "failed", {"a": [1]}]'
    )
    with pytest.raises(TypeError, match="There is no JSON for object"):
        as_json(object())


def test_every_option_of_a_page_is_passed_on() -> None:
    assert {param.name for param in reading.history.params} == {
        *("user", "guild", "statuses", "since", "until", "limit", "offset", "archived", "as_json")
    }
