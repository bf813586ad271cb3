"""The sandbox's videos are what was asked for, whatever the prompt, and whole or not there."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import av
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream
from PIL import ImageFont

from workers.providers import card
from workers.providers import render as rendering
from workers.providers.render import render

SIZES = {
    ("16:9", "720p"): (1280, 720),
    ("16:9", "1080p"): (1920, 1080),
    ("9:16", "720p"): (720, 1280),
    ("9:16", "1080p"): (1080, 1920),
}
# Every value meets every other, without all 24 being rendered.
ASKED = [
    (4, "16:9", "720p", True),
    (4, "9:16", "1080p", False),
    (6, "9:16", "720p", True),
    (6, "16:9", "1080p", False),
    (8, "9:16", "720p", False),
    (8, "16:9", "1080p", True),
]
AWKWARD = {
    "600 letters in one word": "w" * 600,
    "600 in words": ("a paper boat drifts down a gutter after rain " * 14)[:600],
    "lone combining marks": "\u0301" * 600,
    "marks piled on one letter": "a" + "\u0336" * 599,
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f431\ufe0f" * 60,
    "right to left": "שלום עולם مرحبا بالعالم " * 20,
    "no spaces": "猫がスケートボードに乗る" * 50,
    "direction overrides": "\u202e\u2067abc\u2069" * 90,
    "nothing that shows": "\u200b\n\t \r\x07\ufeff",
    "newlines": "a\nb\r\n\u2028" * 120,
    "lone surrogates": "cat \ud83d on \udc31",
    "private and unassigned": "\ue000\U000f0000\U0010ffff\u0378" * 20,
    "the widest letter": "\ufdfd\U0001242b" * 300,
    "empty": "",
}


def make(path: Path, prompt: str = "A cat on a skateboard", **asked: Any) -> None:
    order: dict[str, Any] = {
        "duration_seconds": 4,
        "aspect_ratio": "16:9",
        "resolution": "720p",
        "audio": False,
    }
    render(path, prompt=prompt, **(order | asked))


def length(stream: VideoStream | AudioStream) -> float:
    """In seconds."""
    assert stream.duration is not None
    assert stream.time_base is not None
    return float(stream.duration * stream.time_base)


@pytest.mark.parametrize(("seconds", "shape", "resolution", "audio"), ASKED)
def test_the_file_is_what_was_asked(
    tmp_path: Path, seconds: int, shape: str, resolution: str, audio: bool
) -> None:
    path = tmp_path / "video.mp4"
    make(path, duration_seconds=seconds, aspect_ratio=shape, resolution=resolution, audio=audio)

    assert list(tmp_path.iterdir()) == [path]
    with av.open(path) as video:
        picture = video.streams.video[0]
        assert picture.codec_context.name == "h264"
        assert picture.codec_context.pix_fmt == "yuv420p"
        assert (picture.width, picture.height) == SIZES[shape, resolution]
        assert picture.average_rate == 24
        assert picture.frames == seconds * 24
        assert length(picture) == seconds
        assert picture.start_time == 0
        assert len(video.streams.audio) == (1 if audio else 0)
        for sound in video.streams.audio:
            assert sound.codec_context.name == "aac"
            assert sound.codec_context.sample_rate == 48_000
            assert sound.codec_context.layout.name == "stereo"
            assert length(sound) == pytest.approx(seconds, abs=1024 / 48_000)
        assert video.duration == pytest.approx(seconds * 1e6, abs=1e6 * 1024 / 48_000)
    head = path.read_bytes()
    assert head.index(b"moov") < head.index(b"mdat"), "a player must read it all to begin"


def test_every_frame_decodes_and_it_moves(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make(path, aspect_ratio="9:16", resolution="1080p")  # A width that PyAV pads.

    with av.open(path) as video:
        small = [frame.reformat(128, 256, "gray") for frame in video.decode(video=0)]
    assert len(small) == 96
    stills = [bytes(small[at].planes[0]) for at in (0, 24, 95)]
    for one, other in pairwise(stills):
        moved = sum(abs(before - after) > 48 for before, after in zip(one, other, strict=True))
        assert moved > len(one) / 200, "letters are bright, so letters that move show"


def test_the_sound_is_soft_and_ends_quietly(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    make(path, audio=True)

    with av.open(path) as video:
        blocks = list(video.decode(audio=0))
    assert sum(block.samples for block in blocks) == pytest.approx(4 * 48_000, abs=1024)
    left = [memoryview(bytes(block.planes[0])[: 4 * block.samples]).cast("f") for block in blocks]
    loudness = [max(map(abs, block)) for block in left]
    assert 0.1 < max(loudness) < 0.9
    assert max(loudness[-2:]) < 0.1


def test_the_same_prompt_looks_the_same_and_another_does_not() -> None:
    def first(prompt: str) -> list[bytes]:
        drawn = next(card.draw_frames(prompt, "facts", (1280, 720), 96))
        return [plane.tobytes() for plane in drawn]

    assert first("a red fox") == first("a red fox")
    assert first("a red fox")[1] != first("a blue whale")[1]
    assert card.seed_of("a red fox").hex() == "6d5c9c71e2c402e2b97771b7ec13edd9"


@pytest.mark.parametrize("bundled", [False, True], ids=["system font", "bundled font"])
@pytest.mark.parametrize("prompt", [p[:600] for p in AWKWARD.values()], ids=AWKWARD.keys())
def test_any_prompt_can_be_drawn(
    prompt: str, bundled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bundled:
        monkeypatch.setattr(card, "FACES", ())
    for size in ((1280, 720), (1080, 1920)):
        y, cb, cr = next(card.draw_frames(prompt, "SANDBOX · 8 s", size, 192))
        assert (y.size, cb.size, cr.size) == (size, *[(size[0] // 2, size[1] // 2)] * 2)


def test_an_awkward_prompt_becomes_a_file(tmp_path: Path) -> None:
    make(tmp_path / "video.mp4", " ".join(AWKWARD.values())[:600], audio=True)
    with av.open(tmp_path / "video.mp4") as video:
        assert video.streams.video[0].frames == 96


@pytest.mark.parametrize("words", [1, 5, 20, 110])
def test_lines_fit_and_lose_nothing(words: int) -> None:
    text = " ".join(("umbrellas", "gutter", "a", "rain", "boat")[at % 5] for at in range(words))
    font = ImageFont.load_default(30)
    assert isinstance(font, ImageFont.FreeTypeFont)
    lines = card._wrap(text, font, 300)
    assert " ".join(lines) == text
    assert all(font.getlength(line) <= 300 for line in lines)


@pytest.mark.parametrize(
    "asked",
    [{"duration_seconds": 5}, {"aspect_ratio": "1:1"}, {"resolution": "4k"}],
    ids=lambda asked: next(iter(asked)),
)
def test_what_veo_does_not_make_is_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such video"):
        make(tmp_path / "video.mp4", **asked)
    assert not list(tmp_path.iterdir())


Draw = Callable[[str, str, tuple[int, int], int], Iterator[card.Planes]]


def failing_after(frames: int, error: BaseException) -> Draw:
    def draw(prompt: str, facts: str, size: tuple[int, int], count: int) -> Iterator[card.Planes]:
        for number, planes in enumerate(card.draw_frames(prompt, facts, size, count)):
            if number == frames:
                raise error
            yield planes

    return draw


@pytest.mark.parametrize(
    ("frames", "error"), list(product((0, 30), (RuntimeError("ink ran out"), KeyboardInterrupt())))
)
def test_a_failure_leaves_no_file_and_spares_the_old_one(
    tmp_path: Path, frames: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rendering, "draw_frames", failing_after(frames, error))
    old = tmp_path / "old.mp4"
    old.write_bytes(b"what was there")
    for path in (old, tmp_path / "new.mp4"):
        with pytest.raises(type(error)):
            make(path, audio=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"what was there"]


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make(tmp_path / "nowhere" / "video.mp4")
    assert not list(tmp_path.iterdir())


def test_two_threads_and_one_path_leave_one_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    with ThreadPoolExecutor(2) as threads:
        jobs = [threads.submit(make, path, prompt, audio=True) for prompt in ("one two", "three")]
        for job in jobs:
            job.result()
    assert list(tmp_path.iterdir()) == [path]
    with av.open(path) as video:
        assert sum(1 for _ in video.decode(video=0)) == 96
