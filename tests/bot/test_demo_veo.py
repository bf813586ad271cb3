"""``video-bot demo --provider veo``: one real video, and only once its price was agreed to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bot.running import LIMIT, assert_nothing_left, on_a_terminal, run
from tests.e2e.google.clip import clip
from tests.e2e.google.studio import Google, closed_port, google

KITE = "a red kite over a grassy park"
FAST = "4 seconds of video by veo-3.1-fast-generate-001 cost $0.40 of real money"
#: Whatever the environment names, the demo has servers of its own.
ELSEWHERE = {
    "DATABASE_URL": "postgresql://nobody:secret@127.0.0.1:1/nowhere",
    "REDIS_URL": "redis://:secret@127.0.0.1:1/0",
    "VIDEO_PROVIDER": "sandbox",
    "VIDEO_STORAGE": "folder",
}
#: Neither a key file nor an account of a person or of the machine.
NO_CREDENTIALS = {
    "GOOGLE_APPLICATION_CREDENTIALS": "",
    "GCE_METADATA_HOST": "127.0.0.1:1",
    "HOME": "/nowhere",
}


@pytest.fixture(scope="module")
def there(place: Path) -> Iterator[Google]:
    (place / "google").mkdir()
    with google(place / "google") as found:
        yield found


@pytest.fixture
def env(there: Google) -> dict[str, str]:
    # Asked about every two seconds, so that nobody waits for long.
    return {**there.environment, **ELSEWHERE, "GENERATION_TIMEOUT_SECONDS": "60"}


def test_the_video_is_fetched_once_it_was_agreed_to(
    there: Google, env: dict[str, str], place: Path
) -> None:
    folder, copy = place / "demo", place / "kite.mp4"
    options = ["--provider", "veo", "--yes", "--folder", str(folder), "--output", str(copy)]
    asked = ["--model", "veo-3.1-generate-001", "--duration", "6", "--no-audio"]
    found = run("demo", KITE, *options, *asked, env=env, seconds=3 * LIMIT)
    assert_nothing_left(folder)
    ends, cost = found.stderr.splitlines()
    assert found.returncode == 0
    assert ends.endswith(": veo-3.1-generate-001.")
    assert "2026-11-17" in ends
    assert cost == "6 seconds of video by veo-3.1-generate-001 cost $1.20 of real money."
    [body] = there.vertex.starts(KITE)
    assert body["parameters"]["durationSeconds"] == 6
    assert "6 s · 16:9 · 720p · audio off · veo-3.1-generate-001" in found.stdout
    assert copy.read_bytes() == clip()
    [kept] = (folder / "videos").iterdir()
    assert kept.read_bytes() == clip()
    assert f"The video is at {kept}" in found.stdout


def test_in_a_script_somebody_has_to_agree_beforehand(
    there: Google, env: dict[str, str], place: Path
) -> None:
    prompt, folder = f"{KITE}, unasked", place / "unasked"
    found = run("demo", prompt, "--provider", "veo", "--folder", str(folder), env=env)
    assert (found.returncode, found.stdout) == (2, "")
    ends, refusal = found.stderr.splitlines()
    assert "2026-11-17" in ends
    assert refusal == f"video-bot: {FAST}: --yes agrees to that. Nothing was started"
    assert not folder.exists()
    assert not there.vertex.starts(prompt)


def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(
    there: Google, env: dict[str, str], place: Path
) -> None:
    prompt, folder = f"{KITE}, declined", place / "declined"
    arguments = ["demo", prompt, "--provider", "veo", "--folder", str(folder)]
    status, said = on_a_terminal(*arguments, env=env, answer="n\n")
    assert status == 1
    assert re.search(rf"2026-11-17.*{re.escape(FAST)}\. Make it\?", said, re.DOTALL)
    assert "Nothing was started" in said
    assert not folder.exists()
    assert not there.vertex.starts(prompt)


@pytest.mark.parametrize(
    ("change", "options", "status", "sentence"),
    [
        ({"GCS_BUCKET": ""}, [], 2, "GCS_BUCKET environment variable is required"),
        (
            NO_CREDENTIALS,
            [],
            2,
            "there are no usable credentials for Google: set GOOGLE_APPLICATION_CREDENTIALS to ",
        ),
        ({}, ["--model", "sandbox"], 2, "There is no model sandbox; there are "),
        ({"GOOGLE_VERTEX_BASE_URL": ""}, [], 1, "Vertex AI was not reached: "),
    ],
)
def test_what_cannot_be_made_is_refused_before_anything_starts(
    env: dict[str, str],
    place: Path,
    change: dict[str, str],
    options: list[str],
    status: int,
    sentence: str,
) -> None:
    if "GOOGLE_VERTEX_BASE_URL" in change:
        change = {"GOOGLE_VERTEX_BASE_URL": f"http://127.0.0.1:{closed_port()}"}
    folder = place / "refused"
    arguments = ["--provider", "veo", "--yes", "--folder", str(folder), *options]
    found = run("demo", KITE, *arguments, env={**env, **change})
    assert (found.returncode, found.stdout) == (status, "")
    assert found.stderr.startswith(f"video-bot: {sentence}")
    # Nothing of a library's, and one sentence.
    assert found.stderr.count("\n") == 1
    assert ".." not in found.stderr
    assert not folder.exists()
