"""Accidents that tests arrange for a route: errors, hangs, cut connections, rate limits.

A route is named by method and template with wildcards: `PATCH /webhooks/*`. An accident happens
before its request is applied or after; so a test can kill a client at that very point.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatchcase

from tests.e2e.discord.world import World
from tests.workers.waiting import PATIENCE


class When(Enum):
    """Where in its way the request is."""

    RECEIVED = auto()
    """All of it is here, nothing is done yet."""
    APPLIED = auto()
    """It is done, and nobody has been told."""


class Ending(Enum):
    """How it goes on after the accident."""

    GOES_ON = auto()
    CUT = auto()
    """The connection is reset; what was not applied never will be."""
    REFUSED = auto()
    """An error is answered in place of the truth."""


@dataclass(eq=False)
class Fault:
    """One arranged accident."""

    world: World
    route: str
    left: int
    """How many requests are still to meet it."""
    when: When = When.RECEIVED
    ending: Ending = Ending.GOES_ON
    only_uploads: bool = False
    status: int = 500
    code: int = 0
    retry_after: float | None = None
    is_global: bool = False
    reached: int = 0
    """How many requests have met it."""
    line: int | None = None
    """The client's end of the connection by which the last of them came."""
    holds: bool = False
    _gates: list[Callable[[], object]] = field(default_factory=list)

    def fits(self, route: str, files: int, when: When) -> bool:
        """Whether a request meets it here."""
        return (
            self.left > 0
            and when is self.when
            and fnmatchcase(route, self.route)
            and (files > 0 or not self.only_uploads)
        )

    async def meet(self, line: int | None) -> None:
        """A request is here; it stays as long as the fault holds it."""
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()
        with self.world.moving():
            self.left -= 1
            self.reached += 1
            self.line = line
            holds = self.holds
            self._gates.append(lambda: loop.call_soon_threadsafe(gate.set))
        if holds:
            await gate.wait()

    def wait_until_reached(self, times: int = 1, *, within: float = PATIENCE) -> None:
        """Until so many requests have met it."""
        what = f"{self.route} is reached {times} times"
        self.world.wait_for(lambda: self.reached >= times, what, within=within)

    def release(self, ending: Ending | None = None) -> None:
        """Let go who is held, and hold nobody any more."""
        with self.world.moving():
            if ending is not None:
                self.ending = ending
            self.holds = False
            self.left = 0
            gates, self._gates = self._gates, []
        for opens in gates:
            opens()


class Faults:
    """All accidents that wait to happen."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._faults: list[Fault] = []

    def refuse(self, route: str, status: int, *, times: int = 1, code: int = 0) -> Fault:
        """Answer with a status and do nothing."""
        fault = Fault(self._world, route, times, ending=Ending.REFUSED, status=status, code=code)
        return self._add(fault)

    def rate_limit(
        self, route: str, *, retry_after: float, times: int = 1, is_global: bool = False
    ) -> Fault:
        """Answer 429 with all its headers."""
        fault = Fault(self._world, route, times, ending=Ending.REFUSED, status=429)
        fault.retry_after, fault.is_global = retry_after, is_global
        return self._add(fault)

    def cut(self, route: str, *, times: int = 1, when: When = When.RECEIVED) -> Fault:
        """Reset the connection."""
        return self._add(Fault(self._world, route, times, when, Ending.CUT))

    def hang(
        self,
        route: str,
        *,
        times: int = 1,
        when: When = When.RECEIVED,
        only_uploads: bool = False,
    ) -> Fault:
        """Do not answer until the fault is released."""
        fault = Fault(self._world, route, times, when, only_uploads=only_uploads)
        fault.holds = True
        return self._add(fault)

    def on_upload(self, *, when: When = When.RECEIVED) -> Fault:
        """Hold the next request with files, wherever it goes."""
        return self.hang("*", when=when, only_uploads=True)

    def take(self, route: str, files: int, when: When) -> Fault | None:
        """The accident that a request meets now."""
        with self._world.changed:
            return next((each for each in self._faults if each.fits(route, files, when)), None)

    def release_all(self) -> None:
        """Nobody is held any more."""
        for fault in self._faults:
            fault.release()

    def _add(self, fault: Fault) -> Fault:
        with self._world.moving():
            self._faults.append(fault)
        return fault
