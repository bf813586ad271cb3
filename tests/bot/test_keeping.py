"""``video-bot archive`` and ``delete`` (VD1, VD3), and what the reading commands make of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any
from uuid import UUID, uuid4

import click.testing
import pytest
from click.testing import CliRunner

from bot.cli.commands import cli
from db.engine import Database
from db.settings import DatabaseSettings
from db.states import Status
from tests.conftest import MakeDatabase
from tests.db.rows import admitted, in_state, row

Run = Callable[..., click.testing.Result]


@pytest.fixture
def database(make_database: MakeDatabase, template: str) -> Iterator[Database]:
    with make_database(template) as url:
        settings = DatabaseSettings.model_validate({"database_url": url})
        with closing(Database(settings)) as database, pytest.MonkeyPatch.context() as environment:
            environment.setenv("DATABASE_URL", url)
            yield database


@pytest.fixture
def video_bot(monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command, run in this process for it is quicker; that must go on logging as it did."""
    monkeypatch.setattr("workers.logs.configure", lambda *_, **__: None)
    return lambda *arguments: CliRunner().invoke(cli, arguments, catch_exceptions=False)


def listed(video_bot: Run, *options: str) -> list[str]:
    found = video_bot("history", "--user", "alice", "--json", *options)
    assert (found.exit_code, found.stderr) == (0, "")
    return [each["id"] for each in json.loads(found.stdout)]


def told(video_bot: Run, *options: str) -> list[dict[str, Any]]:
    found = video_bot("events", *options, "--json")
    assert (found.exit_code, found.stderr) == (0, "")
    events: list[dict[str, Any]] = json.loads(found.stdout)
    return events


def test_vd1_archive_and_back(database: Database, video_bot: Run) -> None:
    request_id = str(in_state(database, Status.COMPLETED, claim=uuid4()))
    found = video_bot("archive", request_id)
    assert (found.exit_code, found.output) == (0, f"{request_id} is archived.\n")
    assert (listed(video_bot), listed(video_bot, "--archived")) == ([], [request_id])
    found = video_bot("archive", request_id, "--undo")
    assert (found.exit_code, found.output) == (0, f"{request_id} is in the list again.\n")
    assert (listed(video_bot), listed(video_bot, "--archived")) == ([request_id], [])
    assert [each["event_type"] for each in told(video_bot, request_id)][-2:] == [
        "archived",
        "restored",
    ]


def test_vd3_delete(database: Database, video_bot: Run) -> None:
    request_id = str(in_state(database, Status.COMPLETED, claim=uuid4()))
    found = video_bot("delete", request_id)
    assert (found.exit_code, found.output) == (0, f"{request_id} is deleted.\n")
    assert listed(video_bot) == listed(video_bot, "--archived") == []
    shown = video_bot("show", request_id)
    assert (shown.exit_code, shown.stdout) == (1, "")
    # An operator still sees that it was there, and who deleted it.
    *_, last = told(video_bot, request_id)
    assert (last["event_type"], last["event_data"]) == ("deleted", {"by": "cli"})
    assert told(video_bot, "--user", "alice") == []


@pytest.mark.parametrize(("setting", "is_counted"), [(None, True), ("false", False)])
def test_vd3_delete_what_was_not_started(
    database: Database,
    video_bot: Run,
    monkeypatch: pytest.MonkeyPatch,
    setting: str | None,
    is_counted: bool,
) -> None:
    if setting:
        monkeypatch.setenv("FAILED_REQUESTS_COUNT", setting)
    request_id = admitted(database)
    found = video_bot("delete", str(request_id))
    *_, last = found.output.splitlines()
    assert last == f"{request_id} is deleted. It was not started yet, and never will be."
    assert row(database, request_id).error_code == "cancelled"
    assert row(database, request_id).counted is is_counted


def test_vd3_delete_what_is_being_made(database: Database, video_bot: Run) -> None:
    request_id = admitted(database, claim=uuid4())
    found = video_bot("delete", str(request_id))
    assert found.output == (
        f"{request_id} is deleted. It is being made, and its end will not be shown.\n"
    )
    assert row(database, request_id).status is Status.PENDING


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("command", ["archive", "delete"])
def test_what_is_not_there_is_told(video_bot: Run, command: str) -> None:
    found = video_bot(command, str(UUID(int=7)))
    assert (found.exit_code, found.stdout) == (1, "")
    assert found.stderr == f"video-bot: There is no request {UUID(int=7)}\n"
    assert video_bot(command, "7").exit_code == 2


def test_ev2_the_recent_events_of_a_user(database: Database, video_bot: Run) -> None:
    first, second = (str(admitted(database)) for _ in range(2))
    admitted(database, user_id="bob")
    video_bot("archive", first)
    found = [
        (each["request_id"], each["event_type"]) for each in told(video_bot, "--user", "alice")
    ]
    assert found == [(first, "archived"), (second, "created"), (first, "created")]
    shown = video_bot("events", "--user", "alice", "--limit", "1")
    assert first in shown.stdout
    assert second not in shown.stdout


def test_events_want_an_id_or_a_user(video_bot: Run) -> None:
    both = [str(UUID(int=7)), "--user", "alice"]
    for arguments, end in (([], "."), (both, ", not both.")):
        found = video_bot("events", *arguments)
        assert found.exit_code == 2
        assert f"Give the ID of a request, or --user{end}\n" in found.stderr
