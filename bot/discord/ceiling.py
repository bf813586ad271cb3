"""How much one person may ask for while the limits cannot be read (DG1).

Whatever is asked for then is made without them, so this is all that bounds what an outage costs; it
counts for the limits when Postgres is back.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

WINDOW: Final = 24 * 3600.0
"""Seconds."""


class Ceiling:
    """Counts in this process alone, and forgets what is older than the window."""

    def __init__(self, most: int, *, now: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._now = now
        self._taken: deque[tuple[float, str]] = deque()

    def take(self, user_id: str) -> bool:
        """Whether the user may have one more; if so it is counted."""
        while self._taken and self._taken[0][0] <= self._now() - WINDOW:
            self._taken.popleft()
        if sum(user == user_id for _, user in self._taken) >= self._most:
            return False
        self._taken.append((self._now(), user_id))
        return True
