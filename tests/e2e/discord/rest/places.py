"""Users, guilds and conversations (Resources, "User", "Guild")."""

from tests.e2e.discord import payloads
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.model import Channel, Guild, User
from tests.e2e.discord.rest.routing import Call, Routes
from tests.e2e.discord.world import World

routes = Routes()


@routes("GET", "/users/@me")
def me(call: Call) -> Json:
    """The bot."""
    return {**payloads.user(call.world.bot), "verified": True, "mfa_enabled": False, "flags": 0}


@routes("GET", "/users/{user}")
def user(call: Call) -> Json:
    """Anybody."""
    return payloads.user(_user(call.world, call["user"]))


@routes("POST", "/users/@me/channels")
def open_dm(call: Call) -> Json:
    """The conversation with a user; there is one at most."""
    recipient = _user(call.world, str(call.data.get("recipient_id")))
    return payloads.channel(conversation(call.world, recipient), call.world.bot)


@routes("GET", "/guilds/{guild}")
def guild(call: Call) -> Json:
    """A guild the bot is in."""
    return payloads.guild(call.world.guild(call["guild"]))


@routes("GET", "/guilds/{guild}/channels")
def channels(call: Call) -> list[Json]:
    """Its channels."""
    found = call.world.guild(call["guild"])
    return [payloads.channel(each, call.world.bot) for each in found.channels.values()]


@routes("GET", "/guilds/{guild}/roles")
def roles(call: Call) -> list[Json]:
    """Its roles."""
    listed: list[Json] = payloads.guild(call.world.guild(call["guild"]))["roles"]
    return listed


@routes("GET", "/guilds/{guild}/members/{user}")
def member(call: Call) -> Json:
    """One of its members."""
    found: Guild = call.world.guild(call["guild"])
    number = int(call["user"]) if call["user"].isdigit() else 0
    if number not in found.members:
        raise refusal(10007)
    return payloads.member(found.members[number])


def conversation(world: World, recipient: User) -> Channel:
    """The bot's conversation with a user, found or begun."""
    for each in world.channels.values():
        if each.recipient is recipient:
            return each
    made = Channel(world.clock.snowflake(), recipient.name, recipient=recipient)
    world.channels[made.id] = made
    return made


def _user(world: World, user_id: str) -> User:
    found = world.users.get(int(user_id)) if user_id.isdigit() else None
    if found is None:
        raise refusal(10013)
    return found
