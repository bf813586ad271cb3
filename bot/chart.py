"""Figures as a picture: bars, stacked by state, the oldest on the left."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from PIL import Image, ImageDraw, ImageFont

from db.figures import Figures, PeriodFigures
from db.states import Status

By = Literal["day", "week", "month"]

SIZE: Final = (900, 420)
LEFT, TOP, RIGHT, BOTTOM = 70, 60, 880, 360
BACKGROUND: Final = "#2b2d31"
INK: Final = "#dbdee1"
FAINT: Final = "#4e5058"
#: From the bottom up; told apart by their lightness too.
COLOURS: Final = {
    Status.COMPLETED: "#57d38c",
    Status.GENERATING: "#5aa9e6",
    Status.PENDING: "#a3a6aa",
    Status.TIMEOUT: "#f0a04b",
    Status.FAILED: "#c0392b",
}
LINES: Final = 4
"""Of the scale."""
LABELS: Final = 10
"""Under the bars, at most."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar, and what stands under it."""

    label: str
    counts: dict[Status, int]


def first_bar(by: By, until: datetime, *, bars: int) -> datetime:
    """When the first of so many periods begins, of which `until` lies in the last."""
    return _starts(by, until, bars)[0]


def of_periods(periods: Sequence[PeriodFigures], *, by: By, until: datetime, bars: int) -> bytes:
    """A PNG with a bar for each of so many days, weeks or months, empty ones among them."""
    found = {each.start: each.by_status for each in periods}
    pattern = "%Y-%m" if by == "month" else "%m-%d"
    return _png(
        f"Requests by {by} (UTC)",
        [
            Bar(start.strftime(pattern), dict(found.get(start, {})))
            for start in _starts(by, until, bars)
        ],
    )


def of_states(figures: Figures) -> bytes:
    """A PNG with a bar for each state."""
    bars = [Bar(str(status), {status: count}) for status, count in figures.by_status.items()]
    return _png("Requests by state", bars)


def _starts(by: By, until: datetime, bars: int) -> list[datetime]:
    """When each period begins, the oldest first."""
    day = until.replace(hour=0, minute=0, second=0, microsecond=0)
    if by == "month":
        last = 12 * day.year + day.month - 1
        months = range(last - bars + 1, last + 1)
        return [day.replace(year=each // 12, month=each % 12 + 1, day=1) for each in months]
    step = timedelta(days=1 if by == "day" else 7)
    last_day = day if by == "day" else day - timedelta(days=day.weekday())
    return [last_day - step * (bars - 1 - number) for number in range(bars)]


def _png(title: str, bars: Sequence[Bar]) -> bytes:
    picture = Image.new("RGB", SIZE, BACKGROUND)
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(22), ImageFont.load_default(14)
    draw.text((LEFT, 18), title, INK, large)
    highest = max([1, *(sum(each.counts.values()) for each in bars)])
    step = -(-highest // LINES)
    scale = (BOTTOM - TOP) / (step * LINES)
    for number in range(LINES + 1):
        y = BOTTOM - number * step * scale
        draw.line((LEFT, y, RIGHT, y), FAINT)
        draw.text((LEFT - 10, y), f"{number * step:,}", INK, small, anchor="rm")
    room = (RIGHT - LEFT) / len(bars)
    every = -(-len(bars) // LABELS)
    for number, each in enumerate(bars):
        x, y = LEFT + (number + 0.5) * room, float(BOTTOM)
        for status, colour in COLOURS.items():
            height = each.counts.get(status, 0) * scale
            if height:
                draw.rectangle((x - room * 0.35, y - height, x + room * 0.35, y - 1), colour)
                y -= height
        if number % every == (len(bars) - 1) % every:
            draw.text((x, BOTTOM + 8), each.label, INK, small, anchor="mt")
    _draw_legend(draw, small)
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw_legend(
    draw: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont | ImageFont.ImageFont
) -> None:
    x = float(LEFT)
    for status, colour in COLOURS.items():
        draw.rectangle((x, 392, x + 14, 406), colour)
        draw.text((x + 20, 399), str(status), INK, font, anchor="lm")
        x += 44 + font.getlength(str(status))
