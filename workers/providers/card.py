"""The moving title card a sandbox video shows, drawn with Pillow as planes of luma and chroma.

Letters carry no chroma, so they take a tint from the background, and the background is one larger
picture seen through a moving window. A frame costs a crop and a few pastes into its luma, and no
frame is ever converted from RGB.
"""

import colorsys
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from hashlib import blake2b

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

FACES = ("DejaVuSans-Bold.ttf", "DejaVuSans.ttf", "NotoSans-Bold.ttf", "NotoSansCJK-Regular.ttc")
"""Looked for on the system, before the one that comes with Pillow; the fullest one is taken."""

# From RGB to Y, Cb and Cr of limited range (ITU-R BT.709-6, items 3.2 to 3.5, for 8 bits).
BT709 = (
    *(0.1826, 0.6142, 0.0620, 16.0),
    *(-0.1006, -0.3386, 0.4392, 128.0),
    *(0.4392, -0.3989, -0.0403, 128.0),
)
BLACK, GREY, WHITE = 16, 60, 235

Planes = tuple[Image.Image, Image.Image, Image.Image]
Inked = tuple[Image.Image, Image.Image]  # luma, and the mask it is pasted through


def seed_of(prompt: str) -> bytes:
    """Sixteen bytes that are the same for the same prompt in every process."""
    return blake2b(prompt.encode("utf-8", "replace"), digest_size=16).digest()


def draw_frames(prompt: str, facts: str, size: tuple[int, int], count: int) -> Iterator[Planes]:
    """Each of `count` frames as Y, Cb and Cr planes (4:2:0, limited range, BT.709).

    `size` is in pixels, both even; `facts` is the line at the top. The title goes one pixel a
    frame along the longer side: a whole pixel stays sharp, and a steady one does not judder.
    """
    width, height = size
    unit = min(size) // 36
    across, upward = (1, 0) if width > height else (0, 1)
    text = _legible(prompt)
    room = (width - 6 * unit - across * count, height - 14 * unit - upward * count)
    ink, mask = _title(text, room)
    small = _face("0").font_variant(size=unit * 5 // 4)
    facts_ink, facts_mask = _letters([facts], small, width - 4 * unit, "l")
    luma, cb, cr = _background(seed_of(prompt), (width + 2 * count, height + 2 * count))

    for number in range(1, count + 1):
        y = luma.crop((2 * number, number, 2 * number + width, number + height))
        drift = number - count // 2
        left = (width - ink.width) // 2 + across * drift
        top = (height - ink.height) // 2 - upward * drift
        y.paste(ink, (left, top), mask)
        y.paste(facts_ink, (2 * unit - _pad(small), 2 * unit - _pad(small)), facts_mask)
        draw = ImageDraw.Draw(y)
        counter = f"frame {number:03} / {count:03}"
        draw.text((2 * unit, height - 2 * unit), counter, font=small, fill=WHITE, anchor="ls")
        draw.rectangle((0, height - unit // 3, width, height), fill=GREY)
        draw.rectangle((0, height - unit // 3, width * number // count, height), fill=WHITE)
        window = (number, number // 2, number + width // 2, number // 2 + height // 2)
        yield y, cb.crop(window), cr.crop(window)


def _legible(prompt: str) -> str:
    """The prompt on one line, without what has no shape: controls, surrogates, unassigned."""
    return " ".join("".join(c if _has_shape(c) else " " for c in prompt).split()) or "…"


def _has_shape(character: str) -> bool:
    return unicodedata.category(character) not in {"Cc", "Cs", "Cn", "Co"}


def _face(text: str) -> ImageFont.FreeTypeFont:
    """The font that lacks the fewest characters of `text`; what it lacks it draws as boxes."""
    faces = []
    for name in FACES:
        try:
            faces.append(ImageFont.truetype(name, 64))
        except OSError:
            continue
    bundled = ImageFont.load_default(64)
    if isinstance(bundled, ImageFont.FreeTypeFont):
        faces.append(bundled)

    def lacking(face: ImageFont.FreeTypeFont) -> int:
        box = face.getbbox("\U000f0000")  # For private use: drawn as the box of a missing letter.
        return sum(face.getbbox(character) == box for character in set(text))

    return min(faces, key=lacking)


def _title(text: str, room: tuple[int, int]) -> Inked:
    """The text at the largest size at which it fits into `room`."""
    width, height = room
    face = _face(text)
    smallest, largest = 8, min(room) // 5
    words_break_below = min(room) // 20

    def overflows(size: int) -> bool:
        font = face.font_variant(size=size)
        if size > words_break_below and any(font.getlength(w) > width for w in text.split()):
            return True
        return len(_wrap(text, font, width)) * _pitch(font) > height

    size = bisect_left(range(smallest, largest + 1), x=True, key=overflows) + smallest - 1
    font = face.font_variant(size=max(size, smallest))
    return _letters(_wrap(text, font, width), font, width, "m")


def _wrap(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Lines no wider than `width` pixels; a word is broken only where it is wider than a line."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        while word:
            cut = _most_that_fits(word, font, width)
            lines.append(word[:cut])
            word = word[cut:]
    return [line for line in lines if line]


def _most_that_fits(word: str, font: ImageFont.FreeTypeFont, width: int) -> int:
    """How many of its first characters fit; one at least, so that wrapping always ends."""
    ends = range(1, len(word) + 1)
    return max(1, bisect_right(ends, float(width), key=lambda end: font.getlength(word[:end])))


def _pitch(font: ImageFont.FreeTypeFont) -> int:
    return round(font.size * 1.3)


def _pad(font: ImageFont.FreeTypeFont) -> int:
    """Room for the shadow on each side."""
    return round(font.size / 4)


def _letters(lines: list[str], font: ImageFont.FreeTypeFont, width: int, align: str) -> Inked:
    """Lines of white letters with a soft shadow, aligned left ("l") or in the middle ("m")."""
    pad = _pad(font)
    box = (width + 2 * pad, len(lines) * _pitch(font) + 2 * pad)
    shape = Image.new("L", box)
    draw = ImageDraw.Draw(shape)
    left = pad if align == "l" else box[0] // 2
    for row, line in enumerate(lines):
        draw.text((left, pad + row * _pitch(font)), line, font=font, fill=255, anchor=f"{align}a")
    shadow = shape.filter(ImageFilter.GaussianBlur(font.size / 12)).point(lambda v: v * 0.7)
    luma = shape.point(lambda v: BLACK + v * (WHITE - BLACK) / 255)
    return luma, ImageChops.lighter(shape, shadow)


def _background(seed: bytes, size: tuple[int, int]) -> Planes:
    """A gradient with soft lights in it; the hue, and where they stand, come from the seed."""
    scale = 8  # Drawn this much smaller: nothing in it is sharp.
    width, height = (-(-side // scale) for side in size)
    hue = seed[0] / 256
    downward = Image.linear_gradient("L").resize((width, height))
    rightward = Image.linear_gradient("L").rotate(90).resize((width, height))
    slope = Image.blend(downward, rightward, 0.5)
    picture = Image.composite(
        Image.new("RGB", slope.size, _rgb(hue + 0.12, 0.20)),
        Image.new("RGB", slope.size, _rgb(hue, 0.42)),
        slope,
    )
    for x, y, reach in zip(seed[1:6], seed[6:11], seed[11:16], strict=True):
        radius = min(slope.size) * (0.12 + reach / 1000)
        centre = (x * width // 255, y * height // 255)
        light = Image.new("L", slope.size)
        ImageDraw.Draw(light).circle(centre, radius, fill=50 + reach // 8)
        light = light.filter(ImageFilter.GaussianBlur(radius / 8))
        picture.paste(_rgb(hue - 0.1, 0.65), (0, 0), light)
    luma, cb, cr = picture.convert("RGB", BT709).split()
    half = (size[0] // 2, size[1] // 2)
    return luma.resize(size), cb.resize(half), cr.resize(half)


def _rgb(hue: float, lightness: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hls_to_rgb(hue % 1, lightness, 0.5)
    return round(red * 255), round(green * 255), round(blue * 255)
