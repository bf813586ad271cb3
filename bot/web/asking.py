"""Questions to servers that may hang: one in the air at a time, however many want to know."""

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """A blocking question whose answer serves everybody who asks meanwhile.

    It is asked in a thread of its own, one at a time: should that hang past all its time-outs, it
    is one thread that hangs. The answer stands for `fresh` seconds. To be used in one event loop.
    """

    def __init__(self, ask: Callable[[], T], *, fresh: float) -> None:
        self._ask = ask
        self._fresh = fresh
        self._answer: asyncio.Future[T] | None = None
        self._stale_at = 0.0

    async def answer(self, within: float) -> T:
        """The answer, or whatever error the question ends in.

        Raises TimeoutError if there is none `within` so many seconds.
        """
        if self._answer is None or (self._answer.done() and time.monotonic() >= self._stale_at):
            self._answer = self._begin()
        return await asyncio.wait_for(asyncio.shield(self._answer), within)

    def _begin(self) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        # Whether anybody still waits for it or not, its error is not to be complained of.
        answer.add_done_callback(lambda each: each.cancelled() or each.exception())

        def work() -> None:
            try:
                tell = partial(answer.set_result, self._ask())
            except Exception as error:  # noqa: BLE001 -- it goes to those who asked
                tell = partial(answer.set_exception, error)
            self._stale_at = time.monotonic() + self._fresh
            try:
                loop.call_soon_threadsafe(tell)
            except RuntimeError:
                # The loop is closed: nobody asks any more.
                return

        # A daemon, so that a question that hangs does not keep the process from ending.
        threading.Thread(target=work, name="asking", daemon=True).start()
        return answer
