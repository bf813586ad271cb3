"""Persons at their screens: what they see, and what they do."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from tests.e2e.discord import payloads, writing
from tests.e2e.discord.errors import Json
from tests.e2e.discord.interactions import FIRST_ANSWER, Interaction, Kind
from tests.e2e.discord.model import Attachment, Channel, Member, Message, User
from tests.e2e.discord.offers import command_data, expect, find
from tests.e2e.discord.rest.places import conversation
from tests.e2e.discord.rules.components import BUTTON, LINK, STRING_SELECT, leaves
from tests.e2e.discord.world import World
from tests.e2e.discord.writing import Draft
from tests.workers.waiting import PATIENCE


class Person:
    """A person, who is in one channel at a time."""

    def __init__(self, world: World, user: User, place: Channel | None = None) -> None:
        self.world = world
        self.user = user
        self._place = place

    @property
    def id(self) -> int:
        """Of the user."""
        return self.user.id

    @property
    def mention(self) -> str:
        """What pings this person, if it is allowed to."""
        return f"<@{self.id}>"

    @property
    def place(self) -> Channel:
        """Where this person is; the conversation with the bot, unless put elsewhere."""
        return self._place or self.dm

    @property
    def dm(self) -> Channel:
        """The conversation with the bot."""
        with self.world.moving():
            return conversation(self.world, self.user)

    def at(self, channel: Channel) -> "Person":
        """The same person in another channel."""
        return Person(self.world, self.user, channel)

    def screen(self, channel: Channel | None = None) -> list[Message]:
        """The messages this person sees, oldest first."""
        with self.world.changed:
            found = (channel or self.place).messages.values()
            return [each for each in found if each.is_seen_by(self.user)]

    def wait_for_message(
        self, look: Callable[[Message], object], what: str, *, within: float = PATIENCE
    ) -> Message:
        """The first message on the screen that is as wanted."""

        def find_it() -> Message | None:
            return next((each for each in self.screen() if look(each)), None)

        found = self.world.wait_for(find_it, f"{self.user.name} sees {what}", within=within)
        assert found is not None
        return found

    @property
    def pings(self) -> list[Message]:
        """The messages that pinged this person, wherever they are."""
        with self.world.changed:
            return [each for each in self.world.messages.values() if self.user in each.pings.users]

    def say(self, content: str) -> Message:
        """Write a message."""
        with self.world.moving():
            return writing.write(self.world, self.place, self.user, Draft({"content": content}))

    def file(self, filename: str, content: bytes, content_type: str) -> Attachment:
        """A file for an option of a command."""
        with self.world.moving():
            number = self.world.clock.snowflake()
            made = Attachment(number, filename, content, content_type)
            self.world.files[number] = made
            return made

    def slash(self, words: str, options: Mapping[str, Any] | None = None) -> Interaction:
        """Send a slash command: its name with its subcommands, and options."""
        given = options or {}
        with self.world.moving():
            data = command_data(self.world, self.user, self.place, words, given)
            return self._act(Kind.COMMAND, data)

    def autocomplete(self, words: str, options: Mapping[str, Any], focused: str) -> Interaction:
        """Be in the middle of typing the option `focused`."""
        with self.world.moving():
            data = command_data(self.world, self.user, self.place, words, options, focused)
            return self._act(Kind.AUTOCOMPLETE, data)

    def use_on(self, message: Message, name: str) -> Interaction:
        """Choose a message command from a message's menu."""
        with self.world.moving():
            self._see(message)
            command = find(self.world, self.user, message.channel, name, kind=3)
            shown = payloads.message(message, self.world.cdn, self.world.application_id)
            data = {
                "id": command["id"],
                "name": name,
                "type": 3,
                "target_id": str(message.id),
                "resolved": {"messages": {str(message.id): shown}},
            }
            return self._act(Kind.COMMAND, data)

    def click(self, shown: Message | Interaction, button: str) -> Interaction:
        """Click a button, named by its label or its custom id."""
        return self._use(shown, button, {BUTTON}, {})

    def select(self, shown: Message | Interaction, menu: str, *values: str) -> Interaction:
        """Choose from a menu, named by its placeholder or its custom id."""
        return self._use(shown, menu, {STRING_SELECT}, {"values": [*values]})

    def submit(self, opened: Interaction, values: Mapping[str, str]) -> Interaction:
        """Send the modal that `opened` has brought; values by label or custom id."""
        with self.world.moving():
            modal = opened.modal
            expect(modal is not None, f"{opened} has opened no modal")
            assert modal is not None
            expect(opened.user is self.user, f"The modal is {opened.user.name}'s")
            inputs = [each for _, each in leaves(modal["components"])]
            named = {each[key] for each in inputs for key in ("label", "custom_id")}
            expect(set(values) <= named, f"{set(values) - named} is not in the modal: {named}")
            filled = [{"type": 1, "components": [_fill(each, values)]} for each in inputs]
            data = {"custom_id": modal["custom_id"], "components": filled}
            return self._act(Kind.MODAL, data, source=opened.source, parent=opened)

    def _use(
        self, shown: Message | Interaction, name: str, kinds: set[int], more: Json
    ) -> Interaction:
        with self.world.moving():
            message = shown.message if isinstance(shown, Interaction) else shown
            self._see(message)
            component = _component(message, name, kinds)
            if "values" in more:
                _choose(component, more["values"])
            kind, custom_id = component["type"], component["custom_id"]
            data = {"custom_id": custom_id, "component_type": kind, **more}
            return self.at(message.channel)._act(Kind.COMPONENT, data, source=message)

    def _see(self, message: Message) -> None:
        expect(message.is_seen_by(self.user), f"{self.user.name} does not see that message")

    def _act(
        self,
        kind: Kind,
        data: Json,
        *,
        source: Message | None = None,
        parent: Interaction | None = None,
    ) -> Interaction:
        """Tell the bot what this person did."""
        world = self.world
        made = Interaction(
            world,
            world.clock.snowflake(),
            secrets.token_urlsafe(120),
            kind,
            self.user,
            self.place,
            data,
            source,
            parent,
            created=world.clock.now(),
        )
        world.interactions[made.id] = world.by_token[made.token] = made
        world.emit("INTERACTION_CREATE", _payload(made), until=made.created + FIRST_ANSWER)
        return made


def _payload(made: Interaction) -> Json:
    """An interaction object (Interactions, "Receiving and Responding")."""
    world, place = made.world, made.channel
    guild = place.guild
    told: Json = {
        "version": 1,
        "id": str(made.id),
        "application_id": str(world.application_id),
        "type": int(made.kind),
        "token": made.token,
        "data": made.data,
        "channel_id": str(place.id),
        "channel": payloads.channel(place, world.bot),
        "app_permissions": str(int(place.permissions(world.bot))),
        "locale": "en-US",
        "entitlements": [],
        "authorizing_integration_owners": {"0": str(guild.id) if guild else "0"},
        "context": 1 if guild is None else 0,
        "attachment_size_limit": world.upload_limit,
    }
    if made.source is not None:
        told["message"] = payloads.message(made.source, world.cdn, world.application_id)
    if guild is None:
        return told | {"user": payloads.user(made.user)}
    member: Member = guild.members[made.user.id]
    about = payloads.member(member) | {"permissions": str(int(place.permissions(made.user)))}
    where = {"id": str(guild.id), "locale": "en-US", "features": []}
    return told | {
        "guild_id": str(guild.id),
        "guild": where,
        "guild_locale": "en-US",
        "member": about,
    }


def _component(message: Message, name: str, kinds: set[int]) -> Json:
    """A component that can be used."""
    there = [each for _, each in leaves(list(message.components)) if each["type"] in kinds]
    names = ("label", "placeholder", "custom_id")
    found = next((each for each in there if name in [each.get(key) for key in names]), None)
    expect(found is not None, f"There is no {name!r} to be used among {there}")
    assert found is not None
    expect(not found.get("disabled"), f"{name!r} is disabled")
    expect(found.get("style") != LINK or found["type"] != BUTTON, f"{name!r} is a link")
    return found


def _choose(menu: Json, values: list[str]) -> None:
    """What may be chosen from a menu; labels become values."""
    known = {each["label"]: each["value"] for each in menu["options"]}
    values[:] = [known.get(each, each) for each in values]
    expect(set(values) <= set(known.values()), f"{values} are not all in {known}")
    low, high = menu.get("min_values", 1), menu.get("max_values", 1)
    expect(low <= len(values) <= high, f"{low} to {high} must be chosen, not {len(values)}")


def _fill(field: Json, values: Mapping[str, str]) -> Json:
    """A text input, filled in as it may be."""
    before = field.get("value") or ""
    given = values.get(field["custom_id"], values.get(field["label"], before))
    low, high = field.get("min_length") or 0, field.get("max_length") or 4000
    label = field["label"]
    is_needed = field.get("required", True)
    expect(given or not is_needed, f"{label} must be filled in")
    is_fitting = low <= len(given) <= high or (not given and not is_needed)
    expect(is_fitting, f"{label} takes {low} to {high} characters, not {len(given)}")
    return {"type": 4, "custom_id": field["custom_id"], "value": given}
