"""Charts: which bars there are, and that they are pictures."""

import io
from datetime import UTC, datetime
from decimal import Decimal

from PIL import Image

from bot import chart
from db.figures import Figures, PeriodFigures
from db.states import Status

NOW = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)


def counts(**known: int) -> dict[Status, int]:
    return dict.fromkeys(Status, 0) | {Status(name): count for name, count in known.items()}


def test_the_first_bar() -> None:
    assert chart.first_bar("day", NOW, bars=5) == datetime(2026, 2, 28, tzinfo=UTC)
    # A Wednesday; weeks begin on Monday.
    assert chart.first_bar("week", NOW, bars=2) == datetime(2026, 2, 23, tzinfo=UTC)
    assert chart.first_bar("month", NOW, bars=12) == datetime(2025, 4, 1, tzinfo=UTC)


def test_it_is_a_picture_with_the_colours_of_what_there_is() -> None:
    period = PeriodFigures(
        by_status=counts(completed=3, failed=1),
        average_duration_ms=None,
        cost_usd=Decimal(0),
        start=datetime(2026, 3, 4, tzinfo=UTC),
    )
    pixels = colours(chart.of_periods([period], by="day", until=NOW, bars=7))
    assert pixels[chart.COLOURS[Status.COMPLETED]] > 2.5 * pixels[chart.COLOURS[Status.FAILED]]


def test_figures_of_nothing_are_a_picture_too() -> None:
    figures = Figures(by_status=counts(), average_duration_ms=None, cost_usd=Decimal(0))
    assert colours(chart.of_states(figures))
    assert colours(chart.of_periods([], by="month", until=NOW, bars=12))


def colours(png: bytes) -> dict[str, int]:
    """How many pixels have each colour."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    found = picture.getcolors(picture.width * picture.height) or []
    return {f"#{r:02x}{g:02x}{b:02x}": count for count, (r, g, b) in found}  # type: ignore[misc]
