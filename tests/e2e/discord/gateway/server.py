"""The gateway as tests hold it: its manners, and the accidents they can cause."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from aiohttp import web

from tests.e2e.discord.gateway.connection import Connection
from tests.e2e.discord.gateway.frames import Op
from tests.e2e.discord.gateway.sessions import Sessions
from tests.e2e.discord.world import World
from tests.workers.waiting import PATIENCE


class Gateway:
    """All connections of bots. Every method may be called from any thread."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.url = ""
        self.sessions = Sessions(world)
        self.connections: set[Connection] = set()
        self.heartbeat_interval = 41_250
        """Milliseconds between heartbeats; told in HELLO."""
        self.acknowledges = True
        """Whether heartbeats are answered; if not, a bot must see that its connection is dead."""
        self.accepts = True
        """Whether connections are taken at all."""
        self.refuses_with: int | None = None
        """The code with which every new session is refused, if it is."""
        self.privileged_intents = 0
        """Which of them are switched on."""
        self.heartbeats = 0
        self.loop: asyncio.AbstractEventLoop | None = None

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """A bot connects."""
        if not self.accepts:
            return web.Response(status=503)
        connection = Connection(self, request)
        with self.world.moving():
            self.connections.add(connection)
        return await connection.run()

    def note_heartbeat(self) -> None:
        """One has come."""
        with self.world.moving():
            self.heartbeats += 1

    @property
    def is_connected(self) -> bool:
        """Whether a bot listens."""
        return bool(self.sessions.connected)

    def wait_until_connected(self, bots: int = 1, *, within: float = PATIENCE) -> None:
        """Until so many bots listen."""
        self.world.wait_for(
            lambda: len(self.sessions.connected) >= bots,
            f"{bots} bots are connected",
            within=within,
        )

    def wait_until_gone(self, *, within: float = PATIENCE) -> None:
        """Until no bot listens."""
        self.world.wait_for(lambda: not self.is_connected, "all bots are gone", within=within)

    def wait_until_resumed(self, times: int, *, within: float = PATIENCE) -> None:
        """Until sessions were resumed so many times in all."""
        self.world.wait_for(
            lambda: self.sessions.resumed >= times, f"{times} resumptions", within=within
        )

    def wait_for_heartbeats(self, number: int, *, within: float = PATIENCE) -> None:
        """Until so many heartbeats have come in all."""
        self.world.wait_for(
            lambda: self.heartbeats >= number, f"{number} heartbeats", within=within
        )

    def cut(self) -> None:
        """Break every connection, as a network does; sessions can be resumed.

        When it returns the bots are away.
        """
        before = set(self.connections)

        async def cut(connection: Connection) -> None:
            connection.cut()

        self._with_all(cut)
        self.world.wait_for(lambda: not before & self.connections, "all are cut")

    def close(self, code: int) -> None:
        """Close every connection with a code, without waiting for the bots to agree."""

        async def close(connection: Connection) -> None:
            connection.close(code)

        self._with_all(close)

    def ask_to_reconnect(self) -> None:
        """Opcode 7 to all: resume elsewhere."""
        self._with_all(lambda connection: connection.send(Op.RECONNECT, None))

    def invalidate(self, *, resumable: bool) -> None:
        """Opcode 9 to all: resume, or begin anew."""
        if not resumable:
            self.sessions.drop_all()
        self._with_all(lambda connection: connection.send(Op.INVALID_SESSION, resumable))

    def demand_heartbeats(self) -> None:
        """Opcode 1 to all: a heartbeat at once."""
        self._with_all(lambda connection: connection.send(Op.HEARTBEAT, None))

    def _with_all(self, act: Callable[[Connection], Coroutine[Any, Any, None]]) -> None:
        """Do something with every connection, and wait until it is done."""

        async def act_on(connection: Connection) -> None:
            with suppress(ConnectionError):  # one that is about to end
                await act(connection)

        async def act_on_all() -> None:
            await asyncio.gather(*(act_on(each) for each in list(self.connections)))

        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(act_on_all(), self.loop).result(PATIENCE)
