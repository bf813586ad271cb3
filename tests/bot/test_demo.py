"""``video-bot demo``: the whole system, seen by the person who typed the command."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import psutil
import pytest

from bot.cli.home import home
from tests.bot.running import (
    Running,
    assert_nothing_left,
    processes_of,
    run,
    started,
    told,
    until,
)

PROMPT = "a red kite [over] a grassy park"
QUICK = {"SANDBOX_SECONDS": "0.3"}
#: What the environment may name, and the demo does without.
ELSEWHERE = {
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
    "OUTPUT_DIR": "/dev/null/videos",
}
IN_TIME = 30.0
"""Seconds from Ctrl-C to the end, on a busy machine."""


@dataclass
class Seen:
    """What a demo came to."""

    status: int
    stdout: str
    stderr: str

    @property
    def transitions(self) -> list[str]:
        return re.findall(r"^ +● +\+[\d.]+ s  (\w+)$", self.stdout, re.MULTILINE)

    @property
    def folder(self) -> Path:
        return Path(self.find(r"^Everything of this demo is kept in (.*)$"))

    @property
    def video(self) -> Path:
        return Path(self.find(r"^The video is at (.*) \(\d+ KB\)$"))

    def column(self, name: str) -> str:
        """The row's value, as it is shown."""
        return self.find(rf"^{name} +(.*?) *$")

    def find(self, pattern: str) -> str:
        found = re.search(pattern, self.stdout, re.MULTILINE)
        assert found, f"{pattern} is not in:\n{self.stdout}\n{self.stderr}"
        return found[1]


def seen(running: Running) -> Seen:
    return Seen(running.end(), running.stdout, running.stderr)


def demo(folder: Path, *options: str, **env: str) -> Seen:
    result = run("demo", PROMPT, "--folder", str(folder), *options, env={**QUICK, **env})
    assert_nothing_left(folder)
    return Seen(result.returncode, result.stdout, result.stderr)


def video_of(path: Path) -> tuple[int, int, float, str, list[str]]:
    """Width, height, seconds, codec and the codecs of the sound; every frame is decoded."""
    with av.open(path) as file:
        video = file.streams.video[0]
        frames = sum(1 for _ in file.decode(video))
        rate = video.average_rate or Fraction(0)
        sound = [stream.codec_context.name for stream in file.streams.audio]
        codec = video.codec_context
        return codec.width, codec.height, float(frames / rate), codec.name, sound


@pytest.fixture(scope="module")
def first(place: Path) -> Seen:
    return demo(place / "demo", "--output", str(place / "kite.mp4"), **ELSEWHERE)


@pytest.fixture(scope="module")
def second(first: Seen) -> Seen:
    options = ["--duration", "6", "--aspect-ratio", "9:16", "--resolution", "1080p", "--no-audio"]
    return demo(first.folder, *options)


@pytest.fixture(scope="module")
def at_once(first: Seen) -> dict[str, Seen]:
    """Demos that all ask for the same folder at the same time, by what the sandbox is told."""
    with ExitStack() as stack:
        runs = {
            outcome: stack.enter_context(
                started(
                    *("demo", f"{PROMPT}, {outcome}", "--folder", str(first.folder)),
                    env={
                        **QUICK,
                        "SANDBOX_OUTCOME": outcome,
                        # The sandbox needs a second or two to draw on a busy machine.
                        "GENERATION_TIMEOUT_SECONDS": "2" if outcome == "never" else "300",
                    },
                )
            )
            for outcome in ("completed", "failed", "filtered", "never")
        }
        return {outcome: seen(running) for outcome, running in runs.items()}


def test_each_transition_is_shown_in_order(first: Seen) -> None:
    assert (first.status, first.stderr) == (0, "")
    assert first.transitions == ["pending", "generating", "completed"]
    times = [float(at) for at in re.findall(r"● +\+([\d.]+) s", first.stdout)]
    assert times == sorted(times)
    steps = re.findall(r"^✓ (.*) \([\d.]+ s\)$", first.stdout, re.MULTILINE)
    assert steps == [
        "PostgreSQL is up",
        "Redis is up",
        "The database is migrated",
        "The worker has taken the request on",
    ]
    assert "4 s · 16:9 · 720p · audio on" in first.stdout


def test_the_row_is_shown_as_it_stands(first: Seen) -> None:
    assert first.column("prompt") == PROMPT
    assert first.column("status") == "completed"
    assert [first.column(f"{who}_id") for who in ("user", "guild", "channel")] == ["cli"] * 3
    assert first.column("video_urls") == first.video.as_uri()
    assert int(first.column("duration_ms")) >= 300
    assert first.column("provider") == "sandbox"


def test_the_video_can_be_played(first: Seen, place: Path) -> None:
    assert first.video.is_relative_to(place / "demo" / "videos")
    copy = place / "kite.mp4"
    assert first.stdout.endswith(f"A copy is at {copy}\n")
    assert copy.read_bytes() == first.video.read_bytes()
    assert video_of(copy) == (1280, 720, 4.0, "h264", ["aac"])


def test_what_is_asked_for_is_what_comes(second: Seen) -> None:
    assert second.status == 0
    assert video_of(second.video) == (1080, 1920, 6.0, "h264", [])


def test_the_next_run_shows_the_history(first: Seen, second: Seen) -> None:
    assert "earlier" not in first.stdout
    assert second.folder == first.folder
    _, _, shown = second.stdout.partition("\nearlier")
    line = shown.splitlines()[1]
    assert "completed" in line
    assert "4 s · 16:9 · 720p · audio on" in line
    assert line.rstrip().endswith(PROMPT)


def test_demos_at_once_do_not_disturb_each_other(first: Seen, at_once: dict[str, Seen]) -> None:
    folders = sorted(each.folder for each in at_once.values())
    assert folders == [
        first.folder,
        *(first.folder.with_name(f"{first.folder.name}-{number}") for number in (2, 3, 4)),
    ]
    for outcome, each in at_once.items():
        assert each.column("prompt") == f"{PROMPT}, {outcome}"
        told = (
            f"{first.folder} is in use by another running system; "
            f"this one has data of its own, in {each.folder}\n"
        )
        assert (told in each.stdout) == (each.folder != first.folder)
    assert at_once["completed"].status == 0
    assert at_once["completed"].video.is_relative_to(at_once["completed"].folder)
    for folder in folders:
        assert_nothing_left(folder)


@pytest.mark.parametrize(
    ("outcome", "status", "sentence"),
    [
        (
            "failed",
            "failed",
            "The video service could not make this video. Trying again may help.",
        ),
        (
            "filtered",
            "failed",
            "The video was held back by the safety filter. Another wording of the prompt may help.",
        ),
        ("never", "timeout", "Generation timed out after "),
    ],
)
def test_without_a_video_it_says_why(
    at_once: dict[str, Seen], outcome: str, status: str, sentence: str
) -> None:
    found = at_once[outcome]
    assert found.status == 4
    assert found.stderr.startswith(f"video-bot: {status}: {sentence}")
    assert found.stderr.count("\n") <= 1
    assert found.transitions == ["pending", "generating", status]
    assert found.column("error_message").startswith(sentence)
    assert "The video is at" not in found.stdout


def test_beyond_the_limit_it_says_when_to_come_back(second: Seen) -> None:
    refused = demo(second.folder, DAILY_LIMIT="1")
    assert refused.status == 3
    sentence = (
        r"video-bot: The one video of the last 24 hours is used\. The next one comes free at "
        r"\d{4}-\d\d-\d\d \d\d:\d\d UTC \(resets in 2[34]h \d+m\)\.\n"
    )
    assert re.fullmatch(sentence, refused.stderr), refused.stderr
    assert refused.transitions == []


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        (["--output", "/nowhere/at/all/kite.mp4"], "There is no folder /nowhere/at/all"),
        (["--duration", "5"], "The duration must be 4, 6 or 8 seconds, not 5."),
        (["--aspect-ratio", "16:10"], "The aspect ratio must be 16:9 or 9:16, not 16:10."),
        (["--resolution", "4K"], "The resolution must be 720p or 1080p, not 4K."),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(
    place: Path, wrong: list[str], sentence: str
) -> None:
    found = demo(place / "untouched", *wrong)
    assert (found.status, found.stdout) == (2, "")
    assert found.stderr == f"video-bot: {sentence}\n"
    assert not (place / "untouched").exists()


def test_wrong_settings_are_named_before_anything_starts(place: Path) -> None:
    found = demo(place / "untouched", DATABASE_MAX_CONNECTIONS="0", SANDBOX_OUTCOME="maybe")
    assert (found.status, found.stdout) == (2, "")
    assert "DATABASE_MAX_CONNECTIONS must be a whole number from 1 to 100" in found.stderr
    assert "SANDBOX_OUTCOME must be one of" in found.stderr
    assert not (place / "untouched").exists()


def test_a_provider_of_the_environment_is_told_not_to_count(place: Path) -> None:
    found = demo(place / "untouched", VIDEO_PROVIDER="veo", SANDBOX_OUTCOME="maybe")
    line, *_ = found.stderr.splitlines()
    assert line.startswith("VIDEO_PROVIDER=veo does not count here: the sandbox draws it")
    # Nor are the settings missed that it would need.
    assert "GCS_BUCKET" not in found.stderr


def test_without_a_folder_it_keeps_to_where_data_belongs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert home(pytest.fail) == Path("/var/lib/video-bot")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert home(pytest.fail) == tmp_path / "video-bot"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", "/home/somebody")
    assert home(pytest.fail) == Path("/home/somebody/.local/share/video-bot")


def test_root_keeps_it_where_it_is_wanted_if_the_server_can_go_there(
    monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    """Whoever is not root runs the server, and has it where it is wanted in any case."""
    is_root = os.geteuid() == 0
    said: list[str] = []
    wanted, closed = place / "not" / "made", place / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_DATA_HOME", str(wanted))
    assert home(said.append) == wanted / "video-bot"
    assert said == []
    monkeypatch.setenv("XDG_DATA_HOME", str(closed))
    found = home(said.append)
    assert found == (Path("/var/lib/video-bot") if is_root else closed / "video-bot")
    assert [line.endswith(f"may not enter {closed}") for line in said] == [True] * is_root


# --- Ctrl-C ---------------------------------------------------------------------------------

#: Moments in a demo's life, and what it says when they have come; -X importtime tells of imports.
MOMENTS = {
    "while it loads itself": r"import time: .*\bclick\.types$",
    "while it loads the system": r"import time: .*\bsqlalchemy\.util$",
    "while Postgres starts": r"^Everything of this demo is kept in",
    "while Redis starts": r"PostgreSQL is up",
    "while the worker starts": r"The database is migrated",
    "while it waits": r"\d s  pending",
    "while it generates": r"\d s  generating",
    "while it stops": r"The video is at",
}


def interrupted_demo(folder: Path, moment: str) -> Iterator[Running]:
    argv = [sys.executable, *(["-X", "importtime"] if "loads" in moment else []), "-m", "bot.cli"]
    options = ["demo", PROMPT, "--folder", str(folder)]
    # Every run of these tests counts in the same folder.
    env = {"SANDBOX_SECONDS": "0" if moment == "while it stops" else "60", "DAILY_LIMIT": "100"}
    with started(*options, argv=argv, env=env) as running:
        running.wait_for(MOMENTS[moment])
        yield running


#: It is the same to the command from the moment that it has loaded itself.
TERMINATED = ["while it loads itself", "while it generates"]
WAYS = [
    *(pytest.param(each, signal.SIGINT, id=f"{each}, Ctrl-C") for each in MOMENTS),
    *(
        pytest.param(
            each,
            signal.SIGTERM,
            id=f"{each}, SIGTERM",
            marks=() if each in TERMINATED else pytest.mark.long,
        )
        for each in MOMENTS
    ),
]


@pytest.mark.parametrize(("moment", "way"), WAYS)
def test_interrupted_at_any_moment_it_leaves_nothing(
    moment: str, way: signal.Signals, second: Seen
) -> None:
    # In a folder that has been used and will be again.
    for running in interrupted_demo(second.folder, moment):
        assert running.end(way, seconds=IN_TIME) == 130, running.output
        # Who was being born at that moment is told by the kernel.
        assert_nothing_left(second.folder, seconds=5 if sys.platform == "linux" else 0)
        said = [line for line in running.lines["stderr"] if line and "import time:" not in line]
        is_asked = moment in ("while it waits", "while it generates")
        assert said == (["Stopped. The next demo goes on with this video."] if is_asked else [])


@pytest.mark.parametrize("command", ["demo", "up"])
def test_the_folder_may_be_the_one_where_one_stands(
    place: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    here = place / f"{command} here"
    here.mkdir()
    monkeypatch.chdir(here)
    asked = ["demo", PROMPT] if command == "demo" else ["up"]
    with started(*asked, "--folder", ".", env=QUICK) as running:
        running.wait_for(rf"kept in {here}$")
        running.wait_for("The worker has taken|Ctrl-C stops everything")
        assert running.end(signal.SIGINT) == 130
    assert (here / "postgres").is_dir()
    assert_nothing_left(here)


def test_an_impatient_person_presses_ctrl_c_again(second: Seen) -> None:
    for running in interrupted_demo(second.folder, "while it generates"):
        worker = until(lambda: worker_of(second.folder), "The worker")
        running.process.send_signal(signal.SIGINT)
        # Of two that come at once only one is seen.
        running.wait_for("Stopped")
        running.process.send_signal(signal.SIGINT)
        assert running.end(seconds=IN_TIME) == 130
        assert "Traceback" not in running.stderr
        assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
        assert_nothing_left(second.folder)


def worker_of(folder: Path) -> psutil.Process | None:
    found = [each for each in processes_of(folder) if "bot.cli worker" in told(each)]
    return found[0] if found else None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a death")
def test_killed_it_leaves_nothing_either_and_the_next_run_goes_on(second: Seen) -> None:
    for running in interrupted_demo(second.folder, "while it generates"):
        assert running.end(signal.SIGKILL) == -signal.SIGKILL
        assert_nothing_left(second.folder, seconds=IN_TIME)
    after = demo(second.folder, DAILY_LIMIT="100")
    assert (after.status, after.stderr) == (0, "")
    assert after.transitions == ["pending", "generating", "completed"]
    assert "generating" in after.stdout.partition("\nearlier")[2]
