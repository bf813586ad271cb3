"""One socket to a bot (Events, "Gateway": "Connections")."""

import asyncio
import json
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from aiohttp import WSMessage, WSMsgType, web

from tests.e2e.discord import payloads
from tests.e2e.discord.errors import Json
from tests.e2e.discord.gateway import intents
from tests.e2e.discord.gateway.frames import Close, Op, frame_of, reset
from tests.e2e.discord.gateway.sessions import Event, Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.e2e.discord.gateway.server import Gateway


RESUMABLE_NO_MORE: Final = (1000, 1001)
"""Codes by which a bot says that it is done with its session."""


class Connection:
    """A bot's socket, from HELLO to its end."""

    def __init__(self, gateway: "Gateway", request: web.Request) -> None:
        self.gateway = gateway
        self.session: Session | None = None
        self._request = request
        self._socket = web.WebSocketResponse(timeout=1.0, compress=False, max_msg_size=4096)
        self._position = 0
        self._is_over = False
        self._ending: Close | None = None
        self._receiving: asyncio.Task[WSMessage] | None = None
        self._news = asyncio.Event()
        self._wake: Callable[[], object] | None = None
        self._one_at_a_time = asyncio.Lock()
        is_compressed = request.query.get("compress") == "zlib-stream"
        self._deflate = zlib.compressobj() if is_compressed else None

    async def run(self) -> web.WebSocketResponse:
        """Speak with the bot until either hangs up."""
        await self._socket.prepare(self._request)
        loop = asyncio.get_running_loop()
        writer = loop.create_task(self._write())
        try:
            await self.send(Op.HELLO, {"heartbeat_interval": self.gateway.heartbeat_interval})
            await self._read()
        except Close as closed:
            with suppress(ConnectionError, RuntimeError):
                await self._socket.close(code=closed.code, message=closed.reason.encode())
        except (ConnectionError, RuntimeError, asyncio.CancelledError):
            pass  # it was cut
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError, ConnectionError, RuntimeError):
                await writer
            self._leave()
        return self._socket

    async def send(self, op: Op, data: Any, **more: Any) -> None:
        """One frame."""
        text = json.dumps({"op": int(op), "d": data, "s": None, "t": None, **more})
        async with self._one_at_a_time:
            if self._deflate is None:
                await self._socket.send_str(text)
            else:
                packed = self._deflate.compress(text.encode())
                await self._socket.send_bytes(packed + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    def close(self, code: int) -> None:
        """Hang up in good order."""
        self._ending = Close(code, "")
        if self._receiving is not None:
            self._receiving.cancel()

    def cut(self) -> None:
        """Break the connection, as a network does."""
        reset(self._request)

    async def _read(self) -> None:
        """Hear the bot; silence for much longer than it may be silent ends it."""
        while True:
            message = await self._receive()
            if message.type is WSMsgType.CLOSE and message.data in RESUMABLE_NO_MORE:
                self._is_over = True
            if message.type is not WSMsgType.TEXT:
                return
            await self._hear(*frame_of(message.data))

    async def _receive(self) -> WSMessage:
        """The next frame, unless it is time to hang up."""
        patience = self.gateway.heartbeat_interval / 1000 * 2 + 1
        # A task, for aiohttp waits for the bot's farewell only where nobody else is receiving.
        self._receiving = asyncio.ensure_future(self._socket.receive())
        await asyncio.wait({self._receiving}, timeout=patience)
        if self._ending is None and self._receiving.done():
            return self._receiving.result()
        self._receiving.cancel()
        raise self._ending or Close(4009, "Session timed out.")

    async def _hear(self, op: Op, data: Any) -> None:
        if op is Op.HEARTBEAT:
            self.gateway.note_heartbeat()
            if self.gateway.acknowledges:
                await self.send(Op.HEARTBEAT_ACK, None)
        elif op is Op.IDENTIFY:
            self._identify(data)
        elif op is Op.RESUME:
            await self._resume(data)
        elif self.session is None:
            raise Close(4003, "Not authenticated.")
        elif op is Op.REQUEST_MEMBERS:
            self._tell_members(data)
        elif op not in (Op.PRESENCE, Op.VOICE_STATE):
            raise Close(4001, "Unknown opcode.")

    def _identify(self, data: Json) -> None:
        """Begin a session: READY, then every guild."""
        if self.session is not None:
            raise Close(4005, "Already authenticated.")
        self._check_token(data)
        if self.gateway.refuses_with is not None:
            raise Close(self.gateway.refuses_with, "Refused by the test.")
        wanted = data.get("intents")
        if not isinstance(wanted, int) or wanted & ~intents.ALL:
            raise Close(4013, "Invalid intent(s).")
        if wanted & sum(intents.PRIVILEGED) & ~self.gateway.privileged_intents:
            raise Close(4014, "Disallowed intent(s).")
        world, sessions = self.gateway.world, self.gateway.sessions
        with world.moving():
            session = sessions.new(wanted)
            ready = {
                "v": 10,
                "user": payloads.user(world.bot),
                "guilds": [{"id": str(each), "unavailable": True} for each in world.guilds],
                "session_id": session.id,
                "session_type": "normal",
                "resume_gateway_url": self.gateway.url,
                "private_channels": [],
                "application": {"id": str(world.application_id), "flags": 0},
                "shard": data.get("shard") or [0, 1],
            }
            sessions.append(session, Event("READY", ready))
            if session.intents & intents.GUILDS:
                for guild in world.guilds.values():
                    told = payloads.guild_create(guild, world.bot)
                    sessions.append(session, Event("GUILD_CREATE", told))
            self._enter(session, 0)

    async def _resume(self, data: Json) -> None:
        """Go on with a session, or say that it is gone."""
        self._check_token(data)
        sessions = self.gateway.sessions
        found = sessions.find(data.get("session_id"))
        if found is None:
            await self.send(Op.INVALID_SESSION, False)
            return
        position = data.get("seq") or 0
        if position > len(found.events):
            raise Close(4007, "Invalid seq.")
        with self.gateway.world.moving():
            sessions.resumed += 1
            # What was missed comes before RESUMED, which goes to its end.
            sessions.append(found, Event("RESUMED", {}))
            self._enter(found, position)

    def _check_token(self, data: Any) -> None:
        given = data.get("token") if isinstance(data, dict) else None
        if str(given).removeprefix("Bot ") != self.gateway.world.token:
            raise Close(4004, "Authentication failed.")

    def _enter(self, session: Session, position: int) -> None:
        loop = asyncio.get_running_loop()
        self.session, self._position = session, position
        self._wake = lambda: loop.call_soon_threadsafe(self._news.set)
        session.wake = self._wake
        self._news.set()

    def _leave(self) -> None:
        """Nobody listens now; the session waits to be resumed, unless the bot ended it."""
        session = self.session
        with self.gateway.world.moving():
            self.gateway.connections.discard(self)
            if session is not None and session.wake is self._wake:
                session.wake = None
        if session is not None and self._is_over:
            self.gateway.sessions.drop(session)

    async def _write(self) -> None:
        """Send what the session has for the bot, as it comes."""
        with suppress(ConnectionError, RuntimeError):
            while True:
                await self._news.wait()
                self._news.clear()
                await self._catch_up()

    async def _catch_up(self) -> None:
        session = self.session
        while session is not None and self._position < len(session.events):
            event = session.events[self._position]
            self._position += 1
            if event.until is None or self.gateway.world.clock.now() <= event.until:
                await self.send(Op.DISPATCH, event.data, s=self._position, t=event.name)

    def _tell_members(self, data: Json) -> None:
        """The members that the bot asks for, in one chunk."""
        world, session = self.gateway.world, self.session
        guild = world.guilds.get(int(data.get("guild_id") or 0))
        if guild is None or session is None:
            return
        ids = data.get("user_ids")
        wanted = (
            None if ids is None else {int(i) for i in (ids if isinstance(ids, list) else [ids])}
        )
        start = str(data.get("query") or "")
        found = [
            payloads.member(each)
            for each in guild.members.values()
            if (wanted is None or each.user.id in wanted) and each.user.name.startswith(start)
        ]
        chunk = {
            "guild_id": str(guild.id),
            "members": found,
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [],
            "nonce": data.get("nonce"),
        }
        self.gateway.sessions.append(session, Event("GUILD_MEMBERS_CHUNK", chunk))
