"""Blocking work, off the event loop: in threads of its own, and never waited for too long.

The threads that asyncio has for everybody would be taken by the first server that hangs, and
with them whatever else needs one.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class NeverBegun(Exception):
    """The work waited for its turn in vain, and will not be done."""


class Unfinished(Exception):
    """The work was begun, and nobody knows how it ends."""


class Lane:
    """So many threads for one kind of work. `patience` is in seconds, the wait included."""

    def __init__(self, name: str, *, threads: int, patience: float) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._patience = patience

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises. Raises NeverBegun or Unfinished as well."""
        begun = self._threads.submit(work)
        done = asyncio.wrap_future(begun)
        # Whether anybody still waits for it or not, its error is not to be complained of.
        done.add_done_callback(lambda each: each.cancelled() or each.exception())
        await asyncio.wait({done}, timeout=self._patience)
        if done.done():
            return done.result()
        raise NeverBegun if begun.cancel() else Unfinished

    def close(self) -> None:
        """Begin no more work."""
        self._threads.shutdown(wait=False, cancel_futures=True)
