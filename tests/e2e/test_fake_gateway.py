"""The double's gateway, spoken to frame by frame."""

import asyncio
import json
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.e2e.discord import FakeDiscord, Guild, Person
from tests.e2e.raw import Raw

GUILDS = 1
CONTENT = 1 << 15


class Socket:
    """A bot's end of a gateway connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, is_compressed: bool) -> None:
        self.socket = socket
        self._inflate = zlib.decompressobj() if is_compressed else None

    async def read(self) -> dict[str, Any]:
        """The next frame; {} when the connection is at its end."""
        message = await self.socket.receive(timeout=10)
        if message.type is aiohttp.WSMsgType.TEXT:
            assert self._inflate is None
            return dict(json.loads(message.data))
        if message.type is not aiohttp.WSMsgType.BINARY:
            return {}
        assert self._inflate is not None
        assert message.data.endswith(b"\x00\x00\xff\xff")
        return dict(json.loads(self._inflate.decompress(message.data)))

    async def until(self, event: str) -> dict[str, Any]:
        """The next event of that name."""
        while (frame := await self.read()).get("t") != event:
            assert frame, f"No {event} came"
        return frame

    async def send(self, op: int, data: Any) -> None:
        await self.socket.send_str(json.dumps({"op": op, "d": data}))

    async def identify(self, token: str, intents: int = GUILDS) -> dict[str, Any]:
        """Begin a session; what READY says."""
        await self.send(2, {"token": token, "intents": intents, "properties": {}})
        ready: dict[str, Any] = (await self.until("READY"))["d"]
        return ready


@asynccontextmanager
async def connected(discord: FakeDiscord, *, compress: bool = False) -> AsyncIterator[Socket]:
    """A connection that has heard HELLO."""
    query = "?v=10&encoding=json" + ("&compress=zlib-stream" if compress else "")
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(discord.gateway.url + query) as socket,
    ):
        found = Socket(socket, is_compressed=compress)
        hello = await found.read()
        assert hello["op"] == 10
        assert hello["d"]["heartbeat_interval"] == discord.gateway.heartbeat_interval
        yield found


def run(body: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await body()

    asyncio.run(bounded())


@pytest.mark.parametrize("compress", [False, True])
def test_a_session_begins_with_ready_and_the_guilds(
    discord: FakeDiscord, guild: Guild, compress: bool
) -> None:
    async def body() -> None:
        async with connected(discord, compress=compress) as bot:
            ready = await bot.identify(discord.token)
            assert ready["application"]["id"] == str(discord.world.application_id)
            assert ready["resume_gateway_url"] == discord.gateway.url
            created = await bot.read()
            assert (created["t"], created["s"], created["d"]["name"]) == (
                "GUILD_CREATE",
                2,
                guild.name,
            )
            await bot.send(1, 2)
            assert (await bot.read())["op"] == 11

    run(body)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({"op": 2, "d": {"token": "wrong", "intents": 1}}, 4004),
        ({"op": 2, "d": {"token": "", "intents": 1 << 40}}, 4013),
        ({"op": 2, "d": {"token": ""}}, 4013),
        ({"op": 2, "d": {"token": "", "intents": CONTENT}}, 4014),
        ({"op": 8, "d": {}}, 4003),
        ({"op": 99, "d": {}}, 4001),
        ({"what": 1}, 4002),
    ],
)
def test_who_breaks_a_rule_is_shut_out(
    discord: FakeDiscord, frame: dict[str, Any], code: int
) -> None:
    async def body() -> None:
        async with connected(discord) as bot:
            if frame.get("d", {}).get("token") == "":
                frame["d"]["token"] = discord.token
            await bot.socket.send_str(json.dumps(frame))
            assert await bot.read() == {}
            assert bot.socket.close_code == code

    run(body)


def test_privileged_intents_can_be_switched_on(discord: FakeDiscord) -> None:
    discord.gateway.privileged_intents = CONTENT

    async def body() -> None:
        async with connected(discord) as bot:
            assert await bot.identify(discord.token, GUILDS | CONTENT)
            await bot.send(2, {"token": discord.token, "intents": GUILDS})
            while await bot.read():
                pass
            assert bot.socket.close_code == 4005

    run(body)


def test_a_resumed_session_hears_what_it_missed(
    discord: FakeDiscord, raw: Raw, ana: Person
) -> None:
    raw.register()

    async def body() -> None:
        async with connected(discord) as bot:
            ready = await bot.identify(discord.token)
            seen = (await bot.until("GUILD_CREATE"))["s"]
            await asyncio.to_thread(discord.gateway.cut)
            assert await bot.read() == {}
        stale = await asyncio.to_thread(ana.slash, "veo", {"prompt": "a red fox"})
        discord.clock.advance(seconds=4)
        fresh = await asyncio.to_thread(ana.slash, "veo", {"prompt": "a blue fox"})
        async with connected(discord, compress=True) as bot:
            resume = {"token": discord.token, "session_id": ready["session_id"], "seq": seen}
            await bot.send(6, resume)
            # The older interaction's 3 seconds are over: nobody needs to hear of it.
            heard = await bot.read()
            assert (heard["t"], heard["d"]["id"]) == ("INTERACTION_CREATE", str(fresh.id))
            assert heard["s"] == seen + 2
            assert stale.failed
            assert (await bot.read())["t"] == "RESUMED"
            await bot.socket.close(code=4000)
        async with connected(discord) as bot:
            await bot.send(6, {**resume, "seq": 99})
            assert await bot.read() == {}
            assert bot.socket.close_code == 4007

    run(body)


@pytest.mark.parametrize("how", ["closed by the bot", "invalidated", "never there"])
def test_a_session_that_is_gone_cannot_be_resumed(discord: FakeDiscord, how: str) -> None:
    async def body() -> None:
        async with connected(discord) as bot:
            session = (await bot.identify(discord.token))["session_id"]
            if how == "closed by the bot":
                await bot.socket.close(code=1000)
            elif how == "invalidated":
                await asyncio.to_thread(discord.gateway.invalidate, resumable=False)
                assert await bot.read() == {"op": 9, "d": False, "s": None, "t": None}
        async with connected(discord) as bot:
            given = "never there" if how == "never there" else session
            await bot.send(6, {"token": discord.token, "session_id": given, "seq": 1})
            assert (await bot.read())["d"] is False
            assert await bot.identify(discord.token)

    run(body)


def test_the_server_can_ask_and_be_silent(discord: FakeDiscord) -> None:
    async def body() -> None:
        async with connected(discord) as bot:
            await bot.identify(discord.token)
            for act, op in [
                (discord.gateway.demand_heartbeats, 1),
                (discord.gateway.ask_to_reconnect, 7),
            ]:
                await asyncio.to_thread(act)
                assert (await bot.read())["op"] == op
            discord.gateway.acknowledges = False
            await bot.send(1, 1)
            await bot.send(1, 1)
            await asyncio.to_thread(discord.gateway.wait_for_heartbeats, 2)
            discord.gateway.acknowledges = True
            await bot.send(1, 1)
            assert (await bot.read())["op"] == 11  # of the third alone
            await asyncio.to_thread(discord.gateway.close, 4000)
            assert await bot.read() == {}
            assert bot.socket.close_code == 4000

    run(body)


def test_a_bot_that_falls_silent_is_shut_out(discord: FakeDiscord) -> None:
    discord.gateway.heartbeat_interval = 1

    async def body() -> None:
        async with connected(discord) as bot:
            await bot.identify(discord.token)
            assert await bot.read() == {}
            assert bot.socket.close_code == 4009

    run(body)


def test_members_can_be_asked_for(discord: FakeDiscord, guild: Guild, ana: Person) -> None:
    async def body() -> None:
        async with connected(discord) as bot:
            await bot.identify(discord.token)
            await bot.send(8, {"guild_id": str(guild.id), "query": "an", "limit": 0, "nonce": "x"})
            chunk = (await bot.until("GUILD_MEMBERS_CHUNK"))["d"]
            assert [each["user"]["id"] for each in chunk["members"]] == [str(ana.id)]
            assert chunk["nonce"] == "x"

    run(body)
