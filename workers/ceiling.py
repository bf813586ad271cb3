"""How much one person may have made while no limit can be asked (DG1).

It is all that bounds what an outage costs; what was made counts for the limits when Postgres is
back. The bot holds to it whoever asks while it cannot read the limits, and each process of a worker
whatever it makes that nobody has admitted.
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final
from uuid import UUID

WINDOW: Final = 24 * 3600.0
"""Seconds."""


class Ceiling:
    """Counts in this process alone, and forgets what is older than the window."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._taken: deque[tuple[float, str, UUID]] = deque()

    def take(self, user_id: str, request_id: UUID, *, most: int) -> bool:
        """Whether the user may have this one, with `most` in all; if so it is counted, once."""
        while self._taken and self._taken[0][0] <= self._now() - WINDOW:
            self._taken.popleft()
        theirs = {request for _, user, request in self._taken if user == user_id}
        if request_id in theirs:
            return True
        if len(theirs) >= most:
            return False
        self._taken.append((self._now(), user_id, request_id))
        return True
