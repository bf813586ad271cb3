"""``video-bot cleanup``: what would go, what goes, and what is wrong with the question."""

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from db import retention
from db.engine import Database
from db.states import Status
from tests.bot.running import run
from tests.db.old import ids_in, put_old

VideoBot = Callable[..., CompletedProcess[str]]


@pytest.fixture
def video_bot(database_url: str, tmp_path: Path) -> VideoBot:
    """Run ``video-bot cleanup`` on the test's database."""

    def cleanup(*arguments: str, **variables: str) -> CompletedProcess[str]:
        given = {"DATABASE_URL": database_url, "OUTPUT_DIR": str(tmp_path), **variables}
        return run("cleanup", *arguments, env=given)

    return cleanup


def test_re1_a_dry_run_tells_what_would_go_and_writes_nothing(
    video_bot: VideoBot, database: Database
) -> None:
    put_old(database, 7, days=40)
    put_old(database, 2, days=50, status=Status.FAILED)
    put_old(database, 1, days=50, status=Status.GENERATING)
    put_old(database, 4, days=20)
    before = ids_in(database)
    told = video_bot("--dry-run", REQUEST_RETENTION_DAYS="30")
    assert (told.returncode, told.stderr) == (0, "")
    first, headings, completed, failed = told.stdout.splitlines()
    assert first.startswith("Would delete 9 requests from before 20")
    assert headings.split()[:3] == ["status", "requests", "videos"]
    assert completed.split()[:3] == ["completed", "7", "0"]
    assert failed.split()[:3] == ["failed", "2", "0"]
    told = video_bot("--dry-run", "--json", "--older-than", "45", REQUEST_RETENTION_DAYS="30")
    found = json.loads(told.stdout)
    assert [(each["status"], each["requests"]) for each in found["would_delete"]] == [("failed", 2)]
    assert {"oldest_at", "newest_at", "outputs"} < {*found["would_delete"][0]}
    assert ids_in(database) == before


def test_re1_it_cleans_up_here_and_now(
    video_bot: VideoBot, database: Database, tmp_path: Path
) -> None:
    old = put_old(database, 205, days=40)
    young = put_old(database, 3, days=20)
    (tmp_path / str(old[0])).mkdir()
    (tmp_path / str(young[0])).mkdir()
    told = video_bot("--older-than", "30")
    assert told.returncode == 0
    assert told.stdout.startswith("Deleted 205 requests from before 20")
    assert ids_in(database) == {*young}
    assert [path.name for path in tmp_path.iterdir()] == [str(young[0])]
    told = video_bot("--json", REQUEST_RETENTION_DAYS="10")
    found = json.loads(told.stdout)
    assert (found["deleted"], found["kept"]) == (3, 0)


def test_what_stays_is_told(video_bot: VideoBot, database: Database, tmp_path: Path) -> None:
    [request_id] = put_old(database, 1, days=40)
    (tmp_path / str(request_id)).symlink_to(tmp_path)
    told = video_bot("--older-than", "30")
    assert told.returncode == 1
    assert told.stdout.startswith("Deleted 0 requests")
    assert "1 request stayed: the videos could not be removed." in told.stderr
    assert ids_in(database) == {request_id}


def test_another_run_goes_first(video_bot: VideoBot, database: Database) -> None:
    old = put_old(database, 1, days=40)
    with database.autocommit() as conn, retention.alone(conn) as is_alone:
        assert is_alone
        told = video_bot("--older-than", "30")
    assert (told.returncode, told.stdout) == (1, "")
    assert "video-bot: Another cleanup is at it." in told.stderr
    assert ids_in(database) == {*old}


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        ([], {}, "Set REQUEST_RETENTION_DAYS, or say --older-than DAYS."),
        (["--dry-run"], {"REQUEST_RETENTION_DAYS": ""}, "Set REQUEST_RETENTION_DAYS"),
        ([], {"REQUEST_RETENTION_DAYS": "0"}, "REQUEST_RETENTION_DAYS must be a whole number"),
        (["--older-than", "0"], {}, "0 is not in the range"),
        (["--older-than", "a month"], {}, "not a valid integer"),
    ],
)
def test_a_wrong_question_is_bad_input(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    told = run("cleanup", *arguments, env={"DATABASE_URL": "postgresql://h/d", **variables})
    assert (told.returncode, told.stdout) == (2, "")
    assert said in told.stderr
