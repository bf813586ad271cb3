"""Everything that was asked of the REST API."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from tests.e2e.discord.world import World
from tests.workers.waiting import PATIENCE

BROKEN: Final = -1
"""The status of a request over which this double itself stumbled."""
LOST: Final = 0
"""The status of a request whose connection was cut, by a test or by its client's death."""


@dataclass(eq=False)
class Entry:
    """One request; without a status as long as it has no answer."""

    method: str
    path: str
    route: str | None = None
    """Method and template; None if there is no such endpoint."""
    status: int | None = None
    code: int | None = None
    """The JSON error code, if it was refused."""
    files: int = 0
    line: int | None = None
    """The client's end of the connection that it came by."""
    at: float = field(default_factory=time.monotonic)
    seconds: float | None = None


class Ledger:
    """All requests, oldest first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._entries: list[Entry] = []

    def open(self, method: str, path: str) -> Entry:
        """Note a request that came."""
        entry = Entry(method, path)
        with self._world.moving():
            self._entries.append(entry)
        return entry

    def close(self, entry: Entry, status: int, code: int | None) -> None:
        """Note its answer."""
        with self._world.moving():
            entry.status, entry.code = status, code
            entry.seconds = time.monotonic() - entry.at

    def entries(self, route: str = "*") -> list[Entry]:
        """Those of the routes that match a pattern like `PATCH /webhooks/*`."""
        with self._world.changed:
            # A template's braces mean nothing to fnmatch; its wildcard crosses slashes.
            return [each for each in self._entries if fnmatchcase(str(each.route), route)]

    def count(self, route: str = "*", *, status: int | None = None) -> int:
        """How many there were."""
        found = self.entries(route)
        return sum(status is None or each.status == status for each in found)

    def counts(self) -> Counter[str]:
        """How often each endpoint was asked."""
        return Counter(str(each.route) for each in self.entries())

    @property
    def unexpected(self) -> list[Entry]:
        """Requests for what this double does not know, or stumbled over."""
        with self._world.changed:
            return [each for each in self._entries if each.route is None or each.status == BROKEN]

    def wait_for(
        self, look: Callable[["Ledger"], bool], what: str, *, within: float = PATIENCE
    ) -> None:
        """Until the ledger is as wanted."""
        self._world.wait_for(lambda: look(self), what, within=within)
