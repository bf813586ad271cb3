"""What Discord's client lets a person type: the command must be there, and every option fit.

What it would not let anybody send is an error of the test, told by `NotOffered`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.e2e.discord import payloads
from tests.e2e.discord.errors import Json
from tests.e2e.discord.model import Attachment, Channel, Member, Role, User
from tests.e2e.discord.permissions import Permission
from tests.e2e.discord.rest.applications import in_scope
from tests.e2e.discord.rules.commands import GROUP, SUB_COMMAND
from tests.e2e.discord.world import World

BOOLEAN: Final = 5
USER: Final = 6
CHANNEL: Final = 7
ROLE: Final = 8
MENTIONABLE: Final = 9
ATTACHMENT: Final = 11

PYTHON: Final[dict[int, tuple[type, ...]]] = {
    3: (str,),
    4: (int,),
    BOOLEAN: (bool,),
    USER: (User,),
    CHANNEL: (Channel,),
    ROLE: (Role,),
    MENTIONABLE: (User, Role),
    10: (int, float),
    ATTACHMENT: (Attachment,),
}
"""What a test gives for each type of option."""


class NotOffered(AssertionError):
    """Discord's client would not have let anybody do this."""


def expect(holds: object, message: str) -> None:
    """Insist that the client lets it through."""
    if not holds:
        raise NotOffered(message)


@dataclass
class Filled:
    """Data of a command's interaction, as it is filled."""

    world: World
    channel: Channel
    focused: str | None = None
    """The option that is being typed, if this is for an autocomplete."""
    resolved: Json = field(default_factory=dict)

    def options(self, offered: list[Json], given: Mapping[str, Any], name: str) -> list[Json]:
        """Values for the options of a command."""
        known = {each["name"]: each for each in offered}
        unknown = set(given) - set(known)
        expect(not unknown, f"/{name} has no options {unknown}, only {[*known]}")
        missing = [n for n, each in known.items() if each.get("required") and n not in given]
        expect(self.focused or not missing, f"/{name} needs {missing}")
        return [self._option(known[key], value) for key, value in given.items()]

    def _option(self, offered: Json, value: Any) -> Json:
        name, kind = offered["name"], offered["type"]
        if name == self.focused:
            expect(offered.get("autocomplete"), f"{name} has no autocomplete")
            return {"name": name, "type": kind, "value": value, "focused": True}
        if choices := {each["name"]: each["value"] for each in offered.get("choices", ())}:
            expect(value in {*choices, *choices.values()}, f"{name}: {value!r} not in {choices}")
            value = choices.get(value, value)
        is_right = isinstance(value, PYTHON[kind]) and isinstance(value, bool) == (kind == BOOLEAN)
        expect(is_right, f"{name} (type {kind}) cannot be {value!r}")
        size = len(value) if isinstance(value, str) else value
        for low, high in (("min_length", "max_length"), ("min_value", "max_value")):
            expect(low not in offered or size >= offered[low], f"{name}: {value!r} is too little")
            expect(high not in offered or size <= offered[high], f"{name}: {value!r} is too much")
        if kind in (USER, CHANNEL, ROLE, MENTIONABLE, ATTACHMENT):
            value = self._resolve(value)
        return {"name": name, "type": kind, "value": value}

    def _resolve(self, value: User | Channel | Role | Attachment) -> str:
        """The id of something, with its description put beside the options."""
        key, guild = str(value.id), self.channel.guild
        if isinstance(value, User):
            self._add("users", key, payloads.user(value))
            if guild is not None and value.id in guild.members:
                member = guild.members[value.id]
                told = payloads.member(member, with_user=False)
                self._add("members", key, told | _permissions(member))
        elif isinstance(value, Channel):
            told = payloads.channel(value, self.world.bot)
            self._add("channels", key, told | {"permissions": "0"})
        elif isinstance(value, Role):
            self._add("roles", key, payloads.role(value, 1))
        else:
            self._add("attachments", key, payloads.attachment(value, self.channel, self.world.cdn))
        return key

    def _add(self, kind: str, key: str, told: Json) -> None:
        self.resolved.setdefault(kind, {})[key] = told


def _permissions(member: Member) -> Json:
    return {"permissions": str(int(member.permissions))}


def command_data(
    world: World,
    user: User,
    channel: Channel,
    words: str,
    given: Mapping[str, Any],
    focused: str | None = None,
) -> Json:
    """Data of the interaction for `words`, a command with its subcommands, and options."""
    name, *inner = words.split()
    command = find(world, user, channel, name)
    filled = Filled(world, channel, focused)
    path: list[Json] = []
    offered = command
    for word in inner:
        subs = {e["name"]: e for e in offered.get("options", ()) if e["type"] in (1, 2)}
        expect(word in subs, f"/{words}: {word} is none of {[*subs]}")
        offered = subs[word]
        path.append(offered)
    inside = offered.get("options", [])
    is_whole = not any(each["type"] in (SUB_COMMAND, GROUP) for each in inside)
    expect(is_whole, f"/{words} needs a subcommand")
    options = filled.options(inside, given, words)
    for step in reversed(path):
        options = [{"name": step["name"], "type": step["type"], "options": options}]
    data = {"id": command["id"], "name": command["name"], "type": 1}
    data |= {"options": options} if options else {}
    data |= {"resolved": filled.resolved} if filled.resolved else {}
    return data | ({"guild_id": command["guild_id"]} if "guild_id" in command else {})


def find(world: World, user: User, channel: Channel, name: str, kind: int = 1) -> Json:
    """The command of that name which the user is shown here."""
    guild = channel.guild
    here = {} if guild is None else in_scope(world, str(guild.id))
    everywhere = in_scope(world, None)
    both = [each for each in [*here.values(), *everywhere.values()] if each["type"] == kind]
    found = next((each for each in both if each["name"] == name), None)
    if found is None:
        raise NotOffered(f"There is no /{name}, only {[each['name'] for each in both]}")
    if guild is None:
        expect(found.get("dm_permission", True), f"/{name} is for servers only")
        contexts = found.get("contexts")
        expect(contexts is None or 1 in contexts, f"/{name} is for servers only")
        return found
    needed = found.get("default_member_permissions")
    has = guild.members[user.id].permissions
    if needed is not None and Permission.ADMINISTRATOR not in has:
        # "0" hides a command from everybody else.
        is_shown = needed != "0" and int(needed) & ~int(has) == 0
        expect(is_shown, f"/{name} is not shown to {user.name}")
    return found
