"""A way to a server on which a command can be held up, so that whoever sent it can be killed there,
and which can be closed to all who go by it."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.faults.points import Death
from tests.workers.waiting import PATIENCE, until


@dataclass(eq=False)
class Hold:
    """The next command that has all of `words` in it."""

    words: tuple[bytes, ...]
    when: Death
    #: Whether it has come.
    is_taken: bool = False
    #: The sender's end of the connection by which it came, when it is held.
    line: int | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def fits(self, sent: bytes) -> bool:
        """Whether it is this one, and none came before."""
        is_open = not self.over.is_set() and not self.is_taken
        return is_open and all(word in sent for word in self.words)

    def wait(self) -> int:
        """The sender's port, once the command is held: not passed on, or done and not answered."""
        until(lambda: self.line is not None, what=f"{self.words} is held")
        assert self.line is not None
        return self.line


@dataclass(eq=False)
class _Line:
    """One connection, and what was sent by it since the last answer.

    Of Postgres' transactions it is all of them, from beginning to end.
    """

    port: int
    hold: Hold | None = None
    sent: bytes = field(default=b"", repr=False)

    def is_answered(self) -> None:
        """What was sent is over, unless it is part of a transaction that goes on."""
        begun, ended = self.sent.rfind(b"BEGIN\0"), self.sent.rfind(b"COMMIT\0")
        if begun <= max(ended, self.sent.rfind(b"ROLLBACK\0")):
            self.sent = b""


class Relay:
    """Passes on what comes, both ways. May be used from any thread."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        there = urlsplit(url)
        self._there = (there.hostname or "", there.port or 0)
        self._url = url
        self._holds: list[Hold] = []
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_closed = False
        self.port = 0

    @property
    def url(self) -> str:
        """The address of the server by this way."""
        host, port = self._there
        return self._url.replace(f"{host}:{port}", f"127.0.0.1:{self.port}")

    @contextmanager
    def held(self, *words: str, when: Death) -> Iterator[Hold]:
        """Hold the next such command for the block. Held before, it is never passed on."""
        hold = Hold(tuple(word.encode() for word in words), when)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            self._loop.call_soon_threadsafe(hold.over.set)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """For the block nobody gets through, and who is connected is thrown out."""
        self._is_closed = True
        self._loop.call_soon_threadsafe(self._throw_out)
        try:
            yield
        finally:
            self._is_closed = False

    def _throw_out(self) -> None:
        for each in self._ends:
            each.close()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Join a client to the server."""
        line = _Line(writer.get_extra_info("peername")[1])
        try:
            answers, to_server = await asyncio.open_connection(*self._there)
        except OSError:
            writer.close()
            return
        if self._is_closed:
            writer.close()
            to_server.close()
            return
        ends = {writer, to_server}
        self._ends |= ends
        # It is cancelled at the end, where asyncio would call that an error.
        with suppress(asyncio.CancelledError):
            await asyncio.gather(
                self._pass_on(line, reader, to_server), self._answer(line, answers, writer)
            )
        self._ends -= ends

    async def _pass_on(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while part := await reader.read(65_536):
                # A long command comes in parts, of which the last one has to wait.
                line.sent += part
                hold = next((each for each in self._holds if each.fits(line.sent)), None)
                if hold is not None:
                    hold.is_taken = True
                    if hold.when is Death.BEFORE:
                        hold.line = line.port
                        await hold.over.wait()
                        break
                    line.hold = hold
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _answer(
        self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            while part := await reader.read(65_536):
                line.is_answered()
                if line.hold is not None:
                    line.hold.line = line.port
                    await line.hold.over.wait()
                    line.hold = None
                writer.write(part)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@contextmanager
def relay(url: str) -> Iterator[Relay]:
    """Such a way to the server at `url`, for the block."""
    loop = asyncio.new_event_loop()
    found = Relay(url, loop)
    thread = threading.Thread(target=loop.run_forever, name="relay")
    thread.start()
    try:
        opening = asyncio.start_server(found.accept, "127.0.0.1", 0)
        server = asyncio.run_coroutine_threadsafe(opening, loop).result(PATIENCE)
        found.port = server.sockets[0].getsockname()[1]
        try:
            yield found
        finally:
            asyncio.run_coroutine_threadsafe(_close(server), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _close(server: asyncio.Server) -> None:
    """Close the port, and leave nothing running."""
    server.close()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
