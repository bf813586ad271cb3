"""First answers go before everything else: Discord waits 3 s for them, and minutes for the rest."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

LONGEST: Final = 1.0
"""Seconds for which anything else gives way."""


class Promises:
    """First answers that are on their way. To be used in one event loop."""

    def __init__(self) -> None:
        self._open = 0
        self._all_given = asyncio.Event()

    @contextmanager
    def one(self) -> Iterator[None]:
        """One is being given in the block."""
        self._open += 1
        self._all_given.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._all_given.set()

    async def give_way(self) -> None:
        """Wait until none is on its way; when people never cease to come, not for ever."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                await self._all_given.wait()
