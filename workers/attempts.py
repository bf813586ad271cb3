"""How often something is tried that came to nothing, and how long is paused between."""

from datetime import timedelta
from random import uniform
from typing import Final

LONGEST_BACKOFF: Final = timedelta(seconds=60)
MAX_ATTEMPTS: Final = 15
"""Attempts in a row, with the backoff about ten minutes of a provider or a storage out of reach."""
LOOKS: Final = 4
"""Attempts in which a video that is said to be done may be late to show in the storage."""


def backoff(attempts: int) -> timedelta:
    """Exponential, from 1 s to a minute, with half of it left to chance."""
    ceiling = min(2.0 ** min(attempts, 10), LONGEST_BACKOFF.total_seconds())
    return timedelta(seconds=uniform(ceiling / 2, ceiling))  # noqa: S311 -- no secret
