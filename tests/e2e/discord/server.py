"""Discord as one server in a thread: REST and gateway on one local port."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.e2e.discord import payloads
from tests.e2e.discord.clock import Clock
from tests.e2e.discord.gateway.intents import GUILDS
from tests.e2e.discord.gateway.server import Gateway
from tests.e2e.discord.model import Channel, Guild, Member, Role, User
from tests.e2e.discord.people import Person
from tests.e2e.discord.permissions import NOTHING, Permission
from tests.e2e.discord.rest.ledger import Entry
from tests.e2e.discord.rest.routing import API
from tests.e2e.discord.rest.server import Rest
from tests.e2e.discord.world import World
from tests.workers.waiting import PATIENCE

MOST: Final = 2**27
"""Bytes of a request; far above every upload limit, so that we refuse it and not aiohttp."""


class FakeDiscord:
    """What a test holds in its hands. Everything here may be used from any thread."""

    def __init__(self, world: World, rest: Rest, gateway: Gateway) -> None:
        self.world = world
        self.gateway = gateway
        self.faults = rest.faults
        self.ledger = rest.ledger
        self.rate_limits = rest.rate_limits
        self.url = ""
        """The address of the REST API, for DISCORD_API_URL."""

    @property
    def token(self) -> str:
        """The bot's."""
        return self.world.token

    @property
    def clock(self) -> Clock:
        """Discord's time."""
        return self.world.clock

    @property
    def unexpected(self) -> list[Entry]:
        """Requests for what this double does not know; a test should find none."""
        return self.ledger.unexpected

    def new_guild(self, name: str = "Studio", *, bot_permissions: Permission = NOTHING) -> Guild:
        """A guild that the bot is in, with a channel `general`; its owner is nobody else."""
        world = self.world
        with world.moving():
            owner = self._new_user(f"owner of {name}")
            guild = Guild(world.clock.snowflake(), name, owner)
            world.guilds[guild.id] = guild
            self._join(guild, owner, Permission.ADMINISTRATOR)
            self._join(guild, world.bot, bot_permissions)
            self._add_channel(guild, "general", NOTHING)
            world.emit("GUILD_CREATE", payloads.guild_create(guild, world.bot), intent=GUILDS)
            return guild

    def new_channel(self, guild: Guild, name: str, *, denied: Permission = NOTHING) -> Channel:
        """A channel where the bot may do what it may in the guild, but for what is denied."""
        with self.world.moving():
            made = self._add_channel(guild, name, denied)
            self._tell("CHANNEL_CREATE", made)
            return made

    def deny(self, channel: Channel, denied: Permission) -> None:
        """From now on the bot may not do this here."""
        with self.world.moving():
            channel.denied = denied
            self._tell("CHANNEL_UPDATE", channel)

    def delete_channel(self, channel: Channel) -> None:
        """A channel goes, with all that is in it."""
        with self.world.moving():
            self._tell("CHANNEL_DELETE", channel)
            del self.world.channels[channel.id]
            if channel.guild is not None:
                del channel.guild.channels[channel.id]

    def new_role(self, guild: Guild, name: str, *, mentionable: bool = False) -> Role:
        """A role that permits nothing."""
        with self.world.moving():
            role = Role(self.clock.snowflake(), name, mentionable=mentionable)
            guild.roles[role.id] = role
            return role

    def new_person(
        self,
        name: str,
        guild: Guild | None = None,
        *,
        permissions: Permission = NOTHING,
        roles: tuple[Role, ...] = (),
    ) -> Person:
        """A person; in a guild if one is given, and there in its first channel."""
        with self.world.moving():
            user = self._new_user(name)
            if guild is None:
                return Person(self.world, user)
            self._join(guild, user, permissions, roles)
            return Person(self.world, user, next(iter(guild.channels.values())))

    def commands(self, guild: Guild | None = None) -> list[str]:
        """The names of the commands that are registered, for a guild or for all."""
        wanted = None if guild is None else str(guild.id)
        with self.world.changed:
            found = self.world.commands.values()
            return sorted(each["name"] for each in found if each.get("guild_id") == wanted)

    def wait_for_commands(self, *names: str, within: float = PATIENCE) -> None:
        """Until commands of these names are registered, wherever."""

        def are_there() -> bool:
            return set(names) <= {each["name"] for each in self.world.commands.values()}

        self.world.wait_for(are_there, f"commands {names}", within=within)

    def _new_user(self, name: str) -> User:
        user = User(self.clock.snowflake(), name)
        self.world.users[user.id] = user
        return user

    def _join(
        self, guild: Guild, user: User, permissions: Permission, roles: tuple[Role, ...] = ()
    ) -> None:
        """A member, whose own permissions come by a role of his own, as the bot's do."""
        own = Role(self.clock.snowflake(), user.name, permissions)
        given = [own, *roles] if permissions else [*roles]
        guild.roles |= {role.id: role for role in given}
        guild.members[user.id] = Member(user, self.clock.stamp(), given)

    def _add_channel(self, guild: Guild, name: str, denied: Permission) -> Channel:
        made = Channel(self.clock.snowflake(), name, guild, denied=denied)
        guild.channels[made.id] = self.world.channels[made.id] = made
        return made

    def _tell(self, event: str, channel: Channel) -> None:
        self.world.emit(event, payloads.channel(channel, self.world.bot), intent=GUILDS)


@contextmanager
def fake_discord() -> Iterator[FakeDiscord]:
    """A Discord of a test's own, for the block."""
    world = World()
    rest, gateway = Rest(world), Gateway(world)
    discord = FakeDiscord(world, rest, gateway)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake Discord")
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(_serve(discord, rest), loop).result(PATIENCE)
        try:
            yield discord
        finally:
            rest.faults.release_all()
            gateway.cut()
            asyncio.run_coroutine_threadsafe(_stop(runner), loop).result(PATIENCE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _serve(discord: FakeDiscord, rest: Rest) -> web.AppRunner:
    """Open the port, and tell everybody where it is."""
    world, gateway = discord.world, discord.gateway
    gateway.loop = asyncio.get_running_loop()
    app = web.Application(client_max_size=MOST)
    app.router.add_get("/gateway/", gateway.accept)
    app.router.add_get("/attachments/{channel}/{file}/{name}", _attachments(world))
    app.router.add_route("*", "/{path:.*}", rest.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    world.cdn = f"http://{host}:{port}"
    discord.url = world.cdn + API
    rest.gateway_url = gateway.url = f"ws://{host}:{port}/gateway/"
    return runner


async def _stop(runner: web.AppRunner) -> None:
    """Close the port, and leave nothing running."""
    await runner.cleanup()
    rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _attachments(world: World) -> Handler:
    async def download(request: web.Request) -> web.StreamResponse:
        """A file of a message."""
        found = world.files.get(int(request.match_info["file"]))
        if found is None:
            return web.Response(status=404)
        return web.Response(body=found.content, content_type=found.content_type)

    return download
