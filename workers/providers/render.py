"""Makes the sandbox's videos: real MP4 files of a title card, with nothing but Pillow and PyAV."""

import math
from array import array
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Final
from uuid import uuid4

import av
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from workers.providers.card import Planes, draw_frames, seed_of

FRAME_RATE: Final = 24
SAMPLE_RATE: Final = 48_000
DURATIONS: Final = (4, 6, 8)  # seconds
SIZES: Final = {
    ("16:9", "720p"): (1280, 720),
    ("16:9", "1080p"): (1920, 1080),
    ("9:16", "720p"): (720, 1280),
    ("9:16", "1080p"): (1080, 1920),
}

# One thread each. On two cores, 8 s of 1080p with x264's own choice of threads: a lone render takes
# 1.6 s instead of 2.2, but two side by side 3.6 instead of 2.2.
X264: Final = {"preset": "ultrafast", "crf": "23", "threads": "1", "bf": "0"}
CHORDS: Final = ((4, 5, 6), (10, 12, 15), (3, 4, 5), (6, 8, 9))  # major, minor, 6/4, open


def render(
    path: Path,
    *,
    prompt: str,
    duration_seconds: int,
    aspect_ratio: str,
    resolution: str,
    audio: bool,
) -> None:
    """Writes an MP4 (H.264, AAC where `audio`) that shows what was asked, whole or not at all.

    ValueError where the length, shape or resolution is none that Veo makes.
    """
    size = SIZES.get((aspect_ratio, resolution))
    if size is None or duration_seconds not in DURATIONS:
        raise ValueError(f"no such video: {duration_seconds} s, {aspect_ratio}, {resolution}")
    heard = "on" if audio else "off"
    facts = f"SANDBOX · {duration_seconds} s · {aspect_ratio} · {resolution} · audio {heard}"
    frames = draw_frames(prompt, facts, size, duration_seconds * FRAME_RATE)
    sound = _chord(seed_of(prompt), duration_seconds) if audio else None
    # A name of its own, so that two renders of one path cannot write into one file.
    draft = path.with_name(f".{uuid4().hex}.part")
    try:
        _encode(draft, size, frames, sound)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _encode(
    path: Path, size: tuple[int, int], frames: Iterator[Planes], sound: bytes | None
) -> None:
    container_options = {"movflags": "+faststart"}
    with av.open(path, "w", format="mp4", container_options=container_options) as out:
        video = out.add_stream("libx264", rate=FRAME_RATE, options=X264)
        video.width, video.height = size
        video.pix_fmt = "yuv420p"
        video.codec_context.color_range = ColorRange.MPEG
        video.codec_context.colorspace = Colorspace.ITU709
        voice = out.add_stream("aac", rate=SAMPLE_RATE, layout="stereo") if sound else None
        for number, planes in enumerate(frames):
            out.mux(video.encode(_picture(size, planes, number)))
            if voice and sound:
                out.mux(voice.encode(_samples_beside(sound, number)))
        out.mux(video.encode(None))
        if voice:
            out.mux(voice.encode(None))


def _picture(size: tuple[int, int], planes: Planes, number: int) -> av.VideoFrame:
    frame = av.VideoFrame(*size, "yuv420p")
    for target, plane in zip(frame.planes, planes, strict=True):
        target.update(_padded(plane, target.line_size).tobytes())
    frame.pts, frame.time_base = number, Fraction(1, FRAME_RATE)
    return frame


def _padded(plane: Image.Image, line_size: int) -> Image.Image:
    """PyAV may align a line to more bytes than it has pixels."""
    return plane if plane.width == line_size else plane.crop((0, 0, line_size, plane.height))


def _samples_beside(sound: bytes, number: int) -> av.AudioFrame:
    """The sound of one picture, so that the two streams interleave."""
    span = SAMPLE_RATE // FRAME_RATE
    frame = av.AudioFrame(format="s16", layout="stereo", samples=span)
    frame.planes[0].update(sound[4 * span * number : 4 * span * (number + 1)])
    frame.sample_rate, frame.pts = SAMPLE_RATE, number * span
    frame.time_base = Fraction(1, SAMPLE_RATE)
    return frame


def _chord(seed: bytes, seconds: int) -> bytes:
    """A soft chord, left and right interleaved, that swells in and fades out.

    Every pitch is a whole number of hertz, so one second repeats without a click. The right ear
    hears each a hertz higher: it breathes.
    """
    base = 36 + seed[1] % 24
    pitches = [base * part for part in CHORDS[seed[2] % len(CHORDS)]]
    turn = 2 * math.pi / SAMPLE_RATE
    wave = [round(8192 * math.sin(turn * step)) for step in range(SAMPLE_RATE)]
    second = array("h", bytes(4 * SAMPLE_RATE))
    for ear in (0, 1):
        second[ear::2] = array(
            "h",
            (
                sum(wave[(pitch + ear) * step % SAMPLE_RATE] for pitch in pitches) // 4
                for step in range(SAMPLE_RATE)
            ),
        )
    samples = second * seconds
    fade = SAMPLE_RATE // 2  # in values, of which there are two a sample: a quarter of a second
    for place in range(fade):
        samples[place] = samples[place] * place // fade
        samples[-1 - place] = samples[-1 - place] * place // fade
    return samples.tobytes()
