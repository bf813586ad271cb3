"""Discord's time, which tests can move, and the ids that are made of it.

Ids are snowflakes (Reference, "Snowflakes"): milliseconds since 2015 in the upper 42 bits, worker
and process, and a counter; so ids sort by age, and clients read an object's age off its id.
"""

import itertools
import time
from datetime import UTC, datetime
from typing import Final

EPOCH: Final = 1_420_070_400.0
"""The first second of 2015."""


class Clock:
    """Real time, and what has been added to it."""

    def __init__(self) -> None:
        self._ahead = 0.0
        self._counter = itertools.count()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, *, seconds: float = 0.0, minutes: float = 0.0) -> None:
        """Have time pass at once. Rate limits, whose clients really wait, take no notice."""
        self._ahead += seconds + 60 * minutes

    def stamp(self) -> str:
        """Now, as Discord writes it."""
        return datetime.fromtimestamp(self.now(), UTC).isoformat()

    def snowflake(self) -> int:
        """A new id of now."""
        milliseconds = int((self.now() - EPOCH) * 1000)
        # Unique for 4096 ids a millisecond, as the real ones.
        return milliseconds << 22 | 1 << 17 | next(self._counter) & 0xFFF
