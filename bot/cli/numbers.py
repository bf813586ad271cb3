"""The kinds of numbers that options take, called in help and errors what people call them."""

import math
from typing import Any

import click


class Whole(click.IntRange):
    """A whole number within bounds."""

    name = "integer"


class Seconds(click.FloatRange):
    """A time in seconds that has an end."""

    name = "number"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Raise BadParameter for what is no finite number."""
        seconds = float(super().convert(value, param, ctx))
        if not math.isfinite(seconds):
            self.fail(f"{value} is no number of seconds.", param, ctx)
        return seconds
