"""The application, its gateway and its commands (Interactions, "Application Commands")."""

from typing import Any, Final

from tests.e2e.discord import payloads
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.rest.routing import Call, Reply, Routes
from tests.e2e.discord.rules.checks import enforce, items
from tests.e2e.discord.rules.commands import check_command
from tests.e2e.discord.world import World

MOST_COMMANDS: Final = 100
GLOBAL: Final = "/applications/{application}/commands"
IN_GUILD: Final = "/applications/{application}/guilds/{guild}/commands"

routes = Routes()


@routes("GET", "/gateway", needs_token=False)
def gateway(call: Call) -> Json:
    """Where the gateway is."""
    return {"url": call.gateway_url}


@routes("GET", "/gateway/bot")
def gateway_for_bot(call: Call) -> Json:
    """Where the gateway is, and how a bot should connect."""
    limit = {"total": 1000, "remaining": 999, "reset_after": 14_400_000, "max_concurrency": 1}
    return {"url": call.gateway_url, "shards": 1, "session_start_limit": limit}


@routes("GET", "/oauth2/applications/@me")
@routes("GET", "/applications/@me")
def application(call: Call) -> Json:
    """The bot's application."""
    world = call.world
    return {
        "id": str(world.application_id),
        "name": world.bot.name,
        "icon": None,
        "description": "",
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": "0" * 64,
        "flags": 0,
        "team": None,
        "owner": payloads.user(world.owner),
        "bot": payloads.user(world.bot),
    }


@routes("GET", GLOBAL)
@routes("GET", IN_GUILD)
def commands(call: Call) -> list[Json]:
    """All registered commands."""
    return list(_scope(call).values())


@routes("POST", GLOBAL)
@routes("POST", IN_GUILD)
def upsert(call: Call) -> Reply:
    """A new command, or another form of the one with this name."""
    scope = _scope(call)
    enforce(check_command, call.data)
    found = _same(scope, call.data)
    if found is None and len(scope) >= MOST_COMMANDS:
        raise refusal(50035)
    return Reply(_store(call, call.data, found), 201 if found is None else 200)


@routes("PUT", GLOBAL)
@routes("PUT", IN_GUILD)
def replace_all(call: Call) -> list[Json]:
    """All commands at once; who is not named is gone."""
    scope = _scope(call)
    enforce(items(check_command, MOST_COMMANDS), call.body.data)
    kept = [_store(call, each, _same(scope, each)) for each in call.body.data]
    for number in scope:
        if str(number) not in {each["id"] for each in kept}:
            del call.world.commands[number]
    return kept


@routes("GET", GLOBAL + "/{command}")
@routes("GET", IN_GUILD + "/{command}")
def command(call: Call) -> Json:
    """One command."""
    return _command(call)


@routes("PATCH", GLOBAL + "/{command}")
@routes("PATCH", IN_GUILD + "/{command}")
def change(call: Call) -> Json:
    """Another form of a command."""
    found = _command(call)
    wanted = {key: value for key, value in found.items() if key not in _OURS} | call.data
    enforce(check_command, wanted)
    return _store(call, wanted, found)


@routes("DELETE", GLOBAL + "/{command}")
@routes("DELETE", IN_GUILD + "/{command}")
def remove(call: Call) -> None:
    """One command less."""
    del call.world.commands[int(_command(call)["id"])]


_OURS: Final = {"id", "application_id", "version", "guild_id"}


def _scope(call: Call) -> dict[int, Json]:
    """The commands of a guild, or the global ones."""
    world = call.world
    if call["application"] != str(world.application_id):
        raise refusal(50001)
    guild_id = call.parameters.get("guild")
    if guild_id is not None and int(guild_id) not in world.guilds:
        raise refusal(50001)
    return in_scope(world, guild_id)


def in_scope(world: World, guild_id: str | None) -> dict[int, Json]:
    """The commands of a guild, or the global ones."""
    return {key: each for key, each in world.commands.items() if each.get("guild_id") == guild_id}


def _command(call: Call) -> Json:
    found = _scope(call).get(int(call["command"]))
    if found is None:
        raise refusal(10063)
    return found


def _same(scope: dict[int, Json], wanted: Json) -> Json | None:
    """The command that this one takes the place of."""
    key = (wanted["name"], wanted.get("type", 1))
    return next((each for each in scope.values() if (each["name"], each["type"]) == key), None)


def _store(call: Call, wanted: Json, before: Json | None) -> Json:
    """Keep a command, as Discord gives it back."""
    world = call.world
    number = int(before["id"]) if before else world.clock.snowflake()
    stored = {
        "id": str(number),
        "application_id": str(world.application_id),
        "version": str(world.clock.snowflake()),
        "type": wanted.get("type", 1),
        "name": wanted["name"],
        "name_localizations": wanted.get("name_localizations"),
        "description": wanted.get("description", ""),
        "description_localizations": wanted.get("description_localizations"),
        "default_member_permissions": _as_text(wanted.get("default_member_permissions")),
        "dm_permission": wanted.get("dm_permission", True),
        "nsfw": bool(wanted.get("nsfw")),
        "integration_types": wanted.get("integration_types", [0]),
        "contexts": wanted.get("contexts"),
    }
    if wanted.get("options"):
        stored["options"] = [_option(each) for each in wanted["options"]]
    if "guild" in call.parameters:
        stored["guild_id"] = call["guild"]
        del stored["dm_permission"], stored["contexts"]
    world.commands[number] = stored
    return stored


def _option(wanted: Json) -> Json:
    """An option as Discord gives it back: no false flag, no empty list, and localizations."""
    kept = {key: value for key, value in wanted.items() if not _says_nothing(value)}
    kept |= {key: wanted.get(key) for key in ("name_localizations", "description_localizations")}
    if "options" in kept:
        kept["options"] = [_option(each) for each in kept["options"]]
    if "choices" in kept:
        kept["choices"] = [{"name_localizations": None, **each} for each in kept["choices"]]
    return kept


def _says_nothing(value: Any) -> bool:
    return value is None or value is False or value == []


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)
