"""The double's limits are the documented ones: at the limit all is well, one more is refused."""

from typing import Any

import pytest

from tests.e2e.discord import Callback, FakeDiscord, Guild, Person
from tests.e2e.raw import VEO, Raw, error, problems


def embed(**fields: Any) -> dict[str, Any]:
    return {"embeds": [fields]}


def field(name: int = 1, value: int = 1) -> dict[str, Any]:
    return {"name": "n" * name, "value": "v" * value}


def button(number: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": f"go{number}", **fields}


def rows(*components: dict[str, Any]) -> dict[str, Any]:
    return {"content": "x", "components": [{"type": 1, "components": [*components]}]}


def menu(options: int, **fields: Any) -> dict[str, Any]:
    made = [{"label": f"{n}", "value": f"{n}"} for n in range(options)]
    return {"type": 3, "custom_id": "menu", "options": made, **fields}


LENGTHS = "BASE_TYPE_MAX_LENGTH"
BETWEEN = "BASE_TYPE_BAD_LENGTH"

MESSAGES: list[tuple[dict[str, Any], dict[str, Any], dict[str, str]]] = [
    ({"content": "x" * 2000}, {"content": "x" * 2001}, {"content": LENGTHS}),
    (
        {"embeds": [{"title": "x"}] * 10},
        {"embeds": [{"title": "x"}] * 11},
        {"embeds": LENGTHS},
    ),
    (embed(title="x" * 256), embed(title="x" * 257), {"embeds.0.title": LENGTHS}),
    (
        embed(description="x" * 4096),
        embed(description="x" * 4097),
        {"embeds.0.description": LENGTHS},
    ),
    (embed(fields=[field()] * 25), embed(fields=[field()] * 26), {"embeds.0.fields": LENGTHS}),
    (
        embed(fields=[field(256, 1024)]),
        embed(fields=[field(257, 1025)]),
        {"embeds.0.fields.0.name": BETWEEN, "embeds.0.fields.0.value": BETWEEN},
    ),
    (
        embed(footer={"text": "x" * 2048}),
        embed(footer={"text": "x" * 2049}),
        {"embeds.0.footer.text": LENGTHS},
    ),
    (
        embed(author={"name": "x" * 256}),
        embed(author={"name": "x" * 257}),
        {"embeds.0.author.name": LENGTHS},
    ),
    (
        {"embeds": [{"description": "x" * 3000}] * 2},
        {"embeds": [{"description": "x" * 3000}, {"description": "x" * 3001}]},
        {"embeds": "MAX_EMBED_SIZE_EXCEEDED"},
    ),
    (
        {"content": "x", "components": [rows(button(n))["components"][0] for n in range(5)]},
        {"content": "x", "components": [rows(button(n))["components"][0] for n in range(6)]},
        {"components": LENGTHS},
    ),
    (
        rows(*(button(n) for n in range(5))),
        rows(*(button(n) for n in range(6))),
        {"components.0.components": BETWEEN},
    ),
    (rows(menu(25)), rows(menu(26)), {"components.0.components.0.options": BETWEEN}),
    (
        rows(menu(2, max_values=2)),
        rows(menu(2, max_values=3)),
        {"components.0.components.0.max_values": "SELECT_COMPONENT_MAX_VALUES_EXCEEDS_OPTIONS"},
    ),
    (
        rows(menu(1)),
        rows(menu(1), button()),
        {"components.0.components": "COMPONENT_LAYOUT_WIDTH_EXCEEDED"},
    ),
    (
        rows(button(custom_id="x" * 100, label="x" * 80)),
        rows(button(custom_id="x" * 101, label="x" * 81)),
        {
            "components.0.components.0.custom_id": BETWEEN,
            "components.0.components.0.label": LENGTHS,
        },
    ),
    (
        rows(button(1), button(2)),
        rows(button(1), button(1)),
        {"components.0.components.1.custom_id": "COMPONENT_CUSTOM_ID_DUPLICATED"},
    ),
    (
        rows({"type": 2, "style": 5, "label": "x", "url": "https://example.com"}),
        rows({"type": 2, "style": 5, "label": "x", "custom_id": "x"}),
        {
            "components.0.components.0.url": "BUTTON_COMPONENT_URL_REQUIRED",
            "components.0.components.0.custom_id": "BUTTON_COMPONENT_CUSTOM_ID_URL_CONFLICT",
        },
    ),
    (
        rows(button()),
        rows(button(custom_id=None)),
        {"components.0.components.0.custom_id": "BUTTON_COMPONENT_CUSTOM_ID_REQUIRED"},
    ),
    (
        rows(button()),
        rows({"type": 4, "custom_id": "x", "style": 1, "label": "x"}),
        {"components.0.components.0.type": "BASE_TYPE_CHOICES"},
    ),
    (
        {"content": "x", "allowed_mentions": {"parse": ["users"], "roles": ["1"]}},
        {"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}},
        {"allowed_mentions": "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE"},
    ),
]


@pytest.mark.parametrize(("good", "bad", "expected"), MESSAGES)
def test_a_message(
    raw: Raw, ana: Person, good: dict[str, Any], bad: dict[str, Any], expected: dict[str, str]
) -> None:
    path = f"/channels/{ana.place.id}/messages"
    assert problems(raw.call("POST", path, bad)) == expected
    sent = raw.call("POST", path, good)
    assert sent.status_code == 200, sent.text
    assert problems(raw.call("PATCH", f"{path}/{sent.json()['id']}", bad)) == expected
    # The same holds for an answer, whose message lies one level deeper.
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    deeper = {f"data.{key}": code for key, code in expected.items()}
    assert problems(raw.answer(asked, **bad)) == deeper
    assert raw.answer(asked, **good).status_code == 204
    assert problems(raw.follow("PATCH", asked, **bad)) == expected
    assert problems(raw.follow("POST", asked, None, **bad)) == expected


def test_ten_files(raw: Raw, ana: Person) -> None:
    path = f"/channels/{ana.place.id}/messages"
    files = {f"{n}.txt": b"x" for n in range(10)}
    assert raw.call("POST", path, {}, files).status_code == 200
    refused = raw.call("POST", path, {}, {**files, "10.txt": b"x"})
    assert problems(refused) == {"attachments": LENGTHS}


def text_input(**fields: Any) -> dict[str, Any]:
    return {"type": 4, "custom_id": "text", "style": 1, "label": "Text", **fields}


def modal(*inputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    made = [{"type": 1, "components": [each]} for each in inputs]
    return {"custom_id": "note", "title": "A note", "components": made, **fields}


INPUT = "data.components.0.components.0"
MODALS: list[tuple[dict[str, Any], dict[str, str]]] = [
    (modal(text_input(), title="x" * 46), {"data.title": BETWEEN}),
    (modal(text_input(), custom_id="x" * 101), {"data.custom_id": BETWEEN}),
    (modal(text_input(label="x" * 46)), {f"{INPUT}.label": BETWEEN}),
    (modal(text_input(max_length=4001)), {f"{INPUT}.max_length": "NUMBER_TYPE_MAX"}),
    (modal(text_input(min_length=-1)), {f"{INPUT}.min_length": "NUMBER_TYPE_MIN"}),
    (modal(text_input(max_length=3, value="four")), {f"{INPUT}.value": LENGTHS}),
    (modal(), {"data.components": BETWEEN}),
    (modal(*(text_input(custom_id=f"{n}") for n in range(6))), {"data.components": BETWEEN}),
    (modal(button()), {f"{INPUT}.type": "BASE_TYPE_CHOICES"}),
    (
        {"title": "x"},
        {"data.custom_id": "BASE_TYPE_REQUIRED", "data.components": "BASE_TYPE_REQUIRED"},
    ),
]


@pytest.mark.parametrize(("bad", "expected"), MODALS)
def test_a_modal(raw: Raw, ana: Person, bad: dict[str, Any], expected: dict[str, str]) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    assert problems(raw.answer(asked, Callback.MODAL, **bad)) == expected
    good = modal(text_input(label="x" * 45, max_length=4000, value="x" * 4000), title="x" * 45)
    assert raw.answer(asked, Callback.MODAL, **good).status_code == 204
    sent = ana.submit(asked, {"text": "hello"})
    assert error(raw.answer(sent, Callback.MODAL, **good)) == (400, 50035)


def option(**fields: Any) -> dict[str, Any]:
    return {"type": 3, "name": "x", "description": "x", **fields}


def command(*options: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"name": "x", "description": "x", "options": [*options], **fields}


def choice(number: int) -> dict[str, Any]:
    return {"name": f"{number}", "value": f"{number}"}


COMMANDS: list[tuple[dict[str, Any], dict[str, str]]] = [
    (command(name="x" * 33), {"name": BETWEEN}),
    (command(name="two words"), {"name": "STRING_TYPE_REGEX"}),
    (command(name="Upper"), {"name": "APPLICATION_COMMAND_INVALID_NAME"}),
    (command(description=""), {"description": BETWEEN}),
    (command(description=None), {"description": "BASE_TYPE_REQUIRED"}),
    (command(description="x" * 101), {"description": BETWEEN}),
    (command(*(option(name=f"x{n}") for n in range(26))), {"options": LENGTHS}),
    (
        command(option(), option(name="y", required=True)),
        {"options.1": "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID"},
    ),
    (
        command(option(), option()),
        {"options.1.name": "APPLICATION_COMMAND_OPTIONS_NAME_ALREADY_EXISTS"},
    ),
    (command(option(choices=[choice(n) for n in range(26)])), {"options.0.choices": LENGTHS}),
    (
        command(option(choices=[{"name": "x" * 101, "value": "x"}])),
        {"options.0.choices.0.name": BETWEEN},
    ),
    (
        command(option(choices=[{"name": "x", "value": "x" * 101}])),
        {"options.0.choices.0.value": BETWEEN},
    ),
    (
        command(option(type=4, choices=[{"name": "x", "value": "x"}])),
        {"options.0.choices.0.value": "BASE_TYPE_CONVERT"},
    ),
    (
        command(option(choices=[choice(1)], autocomplete=True)),
        {"options.0": "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID"},
    ),
    (command(option(name="Wrong name")), {"options.0.name": "STRING_TYPE_REGEX"}),
    (command(option(type=99)), {"options.0.type": "BASE_TYPE_CHOICES"}),
    (command(type=2), {"description": LENGTHS}),
]


@pytest.mark.parametrize(("bad", "expected"), COMMANDS)
def test_a_command(raw: Raw, bad: dict[str, Any], expected: dict[str, str]) -> None:
    assert problems(raw.call("POST", raw.commands, bad)) == expected
    assert raw.call("POST", raw.commands, command(name="été_видео-1")).status_code == 201


def test_commands_are_kept_by_name(discord: FakeDiscord, guild: Guild, raw: Raw) -> None:
    made = raw.call("POST", raw.commands, VEO)
    again = raw.call("POST", raw.commands, {**VEO, "description": "Another"})
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == made.json()["id"]
    assert again.json()["version"] != made.json()["version"]
    one = f"{raw.commands}/{made.json()['id']}"
    assert raw.call("GET", one).json()["description"] == "Another"
    assert raw.call("PATCH", one, {"description": "Third"}).json()["options"]
    local = raw.commands.replace("/commands", f"/guilds/{guild.id}/commands")
    assert raw.call("POST", local, VEO).json()["guild_id"] == str(guild.id)
    assert discord.commands() == discord.commands(guild) == ["veo"]
    put = raw.call("PUT", raw.commands, [command(name="a"), command(name="b")])
    assert [each["name"] for each in put.json()] == ["a", "b"]
    assert discord.commands() == ["a", "b"]
    assert raw.call("DELETE", f"{raw.commands}/{put.json()[0]['id']}").status_code == 204
    assert error(raw.call("GET", one)) == (404, 10063)
    assert [each["name"] for each in raw.call("GET", raw.commands).json()] == ["b"]
    assert error(raw.call("GET", "/applications/17/commands")) == (403, 50001)
