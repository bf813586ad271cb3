"""The double refuses what Discord refuses: every error code, provoked once."""

import pytest

from tests.e2e.discord import Callback, FakeDiscord, Guild, NotOffered, Permission, Person
from tests.e2e.raw import ROW, Raw, error

MANY = 10 * 2**20


def test_the_bots_token_is_checked(raw: Raw) -> None:
    found = raw.call("GET", "/users/@me", token="wrong")
    assert found.status_code == 401
    assert found.json() == {"message": "401: Unauthorized", "code": 0}
    assert raw.call("GET", "/users/@me", token=None).status_code == 401
    assert raw.call("GET", "/users/@me").json()["bot"] is True


def test_answers_are_json_without_a_charset(raw: Raw) -> None:
    for path in ("/gateway", "/channels/1"):
        assert raw.call("GET", path).headers["Content-Type"] == "application/json"


def test_what_nobody_knows_is_refused_and_remembered(discord: FakeDiscord, raw: Raw) -> None:
    assert raw.call("GET", "/nothing").json() == {"message": "404: Not Found", "code": 0}
    [entry] = discord.unexpected
    assert (entry.method, entry.path, entry.status) == ("GET", "/nothing", 404)
    discord.ledger._entries.clear()


def test_the_first_answer_must_come_within_3_seconds(
    discord: FakeDiscord, raw: Raw, ana: Person
) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    assert not asked.failed
    discord.clock.advance(seconds=3.1)
    assert error(raw.answer(asked, content="Too late")) == (404, 10062)
    assert asked.failed
    assert asked.callback is None
    assert error(raw.follow("PATCH", asked, content="And so")) == (404, 10015)


def test_an_unknown_interaction(discord: FakeDiscord, raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    asked.token = "another"
    assert error(raw.call("POST", f"/interactions/{asked.id}/x/callback", {"type": 5})) == (
        404,
        10062,
    )
    assert error(raw.call("POST", "/interactions/17/x/callback", {"type": 5})) == (404, 10062)
    assert discord.ledger.count("POST /interactions/*", status=404) == 2


def test_only_one_first_answer(raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    assert error(raw.follow("PATCH", asked, content="Before any answer")) == (404, 10015)
    assert raw.answer(asked, content="One").status_code == 204
    assert error(raw.answer(asked, content="Two")) == (400, 40060)
    assert asked.content == "One"
    assert asked.latency < 3


@pytest.mark.parametrize(("code", "status"), [(50027, 401), (10015, 404)])
def test_a_token_lives_for_15_minutes(
    discord: FakeDiscord, raw: Raw, ana: Person, code: int, status: int
) -> None:
    raw.register()
    discord.world.expired_token_code = code
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, Callback.DEFERRED_MESSAGE)
    discord.clock.advance(minutes=14.9)
    assert raw.follow("PATCH", asked, content="Just in time").status_code == 200
    discord.clock.advance(minutes=0.2)
    assert error(raw.follow("PATCH", asked, content="Too late")) == (status, code)
    assert error(raw.follow("POST", asked, None, content="Too late")) == (status, code)
    assert asked.content == "Just in time"


def test_a_deferral_decides_who_sees_the_answer(
    discord: FakeDiscord, guild: Guild, raw: Raw, ana: Person
) -> None:
    raw.register()
    bea = discord.new_person("bea", guild)
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, Callback.DEFERRED_MESSAGE, flags=64)
    assert asked.is_deferred
    assert asked.is_ephemeral
    assert raw.follow("GET", asked).json()["flags"] == 64 | 128
    assert not asked.history
    # The first follow-up is the promised message, whatever its flags say.
    raw.follow("POST", asked, None, content="Here", flags=0)
    raw.follow("POST", asked, None, content="And here", flags=0)
    assert [each.content for each in ana.screen()] == ["Here", "And here"]
    assert [each.content for each in bea.screen()] == ["And here"]
    path = f"/channels/{ana.place.id}/messages/{asked.message.id}"
    assert error(raw.call("GET", path)) == (404, 10008)
    assert raw.follow("DELETE", asked).status_code == 204
    assert error(raw.follow("GET", asked)) == (404, 10008)


def test_files_stay_or_go_as_the_edit_says(raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, files={"one.txt": b"1"}, content="One")
    raw.follow("PATCH", asked, files={"two.txt": b"2"}, content="Both")
    assert [each.filename for each in asked.attachments] == ["one.txt", "two.txt"]
    first, _ = asked.attachments
    kept = [{"id": str(first.id)}, {"id": 0, "filename": "film.mp4", "description": "A film"}]
    raw.follow("PATCH", asked, files={"x": b"3"}, attachments=kept)
    assert [(each.filename, each.content) for each in asked.attachments] == [
        ("one.txt", b"1"),
        ("film.mp4", b"3"),
    ]
    assert asked.attachments[1].description == "A film"
    shown = raw.follow("GET", asked).json()["attachments"][0]
    assert raw.session.get(shown["url"], timeout=5).content == b"1"
    raw.follow("PATCH", asked, attachments=[])
    assert asked.attachments == ()
    assert [each.content for each in asked.history] == ["One", "Both", "Both", "Both"]


def test_uploads_have_a_limit(discord: FakeDiscord, raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, Callback.DEFERRED_MESSAGE)
    too_much = {"film.mp4": bytes(MANY + 1)}
    assert error(raw.follow("PATCH", asked, files=too_much)) == (413, 40005)
    assert raw.follow("PATCH", asked, files={"film.mp4": bytes(MANY)}).status_code == 200
    discord.world.upload_limit = 3
    assert error(raw.follow("PATCH", asked, files={"film.mp4": b"1234"})) == (413, 40005)


def test_an_empty_message(raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    assert error(raw.answer(asked, content="")) == (400, 50006)
    assert raw.answer(asked, content="x").status_code == 204
    assert error(raw.follow("PATCH", asked, content=None)) == (400, 50006)
    path = f"/channels/{ana.place.id}/messages"
    assert error(raw.call("POST", path, {"content": ""})) == (400, 50006)
    assert error(
        raw.session.post(
            raw.discord.url + path,
            "{",
            headers={"Authorization": f"Bot {raw.discord.token}"},
            timeout=5,
        )
    ) == (400, 50109)


def test_channels_that_the_bot_may_not_use(discord: FakeDiscord, guild: Guild, raw: Raw) -> None:
    channel = discord.new_channel(guild, "quiet")
    path = f"/channels/{channel.id}/messages"
    assert raw.call("POST", path, {"content": "x"}).status_code == 200
    for denied, body, files, expected in [
        (Permission.VIEW_CHANNEL, {"content": "x"}, None, (403, 50001)),
        (Permission.SEND_MESSAGES, {"content": "x"}, None, (403, 50013)),
        (Permission.ATTACH_FILES, {"content": "x"}, {"a": b"b"}, (403, 50013)),
        (Permission.EMBED_LINKS, {"embeds": [{"title": "x"}]}, None, (403, 50013)),
    ]:
        discord.deny(channel, denied)
        assert error(raw.call("POST", path, body, files)) == expected
    discord.delete_channel(channel)
    assert error(raw.call("POST", path, {"content": "x"})) == (404, 10003)
    shy = discord.new_person("shy")
    shy.user.accepts_dms = False
    made = raw.call("POST", "/users/@me/channels", {"recipient_id": str(shy.id)}).json()
    told = raw.call("POST", f"/channels/{made['id']}/messages", {"content": "x"})
    assert error(told) == (403, 50007)
    assert error(raw.call("GET", "/users/17")) == (404, 10013)
    assert error(raw.call("GET", "/guilds/17")) == (404, 10004)
    assert error(raw.call("GET", f"/guilds/{guild.id}/members/17")) == (404, 10007)


def test_messages_of_a_channel(discord: FakeDiscord, raw: Raw, ana: Person) -> None:
    path = f"/channels/{ana.place.id}/messages"
    body = {"content": "x", "nonce": "one", "enforce_nonce": True}
    first = raw.call("POST", path, body).json()
    again = raw.call("POST", path, {**body, "content": "y"}).json()
    assert (again["id"], again["content"]) == (first["id"], "x")
    assert raw.call("POST", path, {"content": "y", "nonce": "one"}).json()["id"] != first["id"]
    mine = f"{path}/{first['id']}"
    assert raw.call("PATCH", mine, {"content": "z"}).json()["edited_timestamp"]
    assert [each["content"] for each in raw.call("GET", path).json()] == ["y", "z"]
    assert raw.call("DELETE", mine).status_code == 204
    assert error(raw.call("PATCH", mine, {"content": "z"})) == (404, 10008)
    theirs = f"{path}/{ana.say('Hello').id}"
    assert error(raw.call("PATCH", theirs, {"content": "z"})) == (403, 50005)
    assert error(raw.call("DELETE", theirs)) == (403, 50013)
    strong = discord.new_guild(bot_permissions=Permission.MANAGE_MESSAGES)
    said = discord.new_person("bob", strong).say("Hello")
    assert raw.call("DELETE", f"/channels/{said.channel.id}/messages/{said.id}").status_code == 204


def test_pings_are_those_that_take_effect(
    discord: FakeDiscord, guild: Guild, raw: Raw, ana: Person
) -> None:
    crew = discord.new_role(guild, "crew", mentionable=True)
    bea, cid = (discord.new_person(each, guild, roles=(crew,)) for each in ("bea", "cid"))
    path = f"/channels/{ana.place.id}/messages"
    text = f"{ana.mention} <@&{crew.id}> @everyone"

    def pinged(content: str, allowed: object = None) -> set[str]:
        body = {"content": content, **({"allowed_mentions": allowed} if allowed else {})}
        found = raw.call("POST", path, body).json()
        return {each.name for each in discord.world.messages[int(found["id"])].pings.users}

    assert pinged(text) == {"ana", "bea", "cid"}
    assert pinged(text, {"parse": []}) == set()
    assert pinged(text, {"users": [str(ana.id)]}) == {"ana"}
    assert pinged(text, {"parse": ["roles"]}) == {"bea", "cid"}
    assert pinged("nobody", {"users": [str(ana.id)]}) == set()
    assert len(bea.pings) == len(cid.pings) == 2
    guild.members[discord.world.bot.id].roles[:] = [
        discord.new_role(guild, "bot", mentionable=False)
    ]
    guild.members[discord.world.bot.id].roles[0].permissions = Permission.MENTION_EVERYONE
    assert pinged("@here", {"parse": ["everyone"]}) >= {"ana", "bea", "cid"}


def test_neither_edits_nor_what_was_deferred_ping(raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, Callback.DEFERRED_MESSAGE)
    raw.follow("PATCH", asked, content=f"{ana.mention}, here it is.")
    assert ana.pings == []
    assert asked.message.mentions == {ana.user}
    raw.follow("POST", asked, None, content=f"{ana.mention}, it is ready.")
    assert ana.pings == asked.followups


def test_the_client_sends_only_what_it_offers(
    discord: FakeDiscord, guild: Guild, raw: Raw, ana: Person
) -> None:
    secret = {"name": "secret", "description": "x", "default_member_permissions": "32"}
    raw.register()
    raw.register({**secret, "dm_permission": False})
    refused: list[tuple[str, dict[str, object]]] = [
        ("nothing", {}),
        ("veo", {}),
        ("veo", {"prompt": "fox"}),
        ("veo", {"prompt": "a red fox", "duration": 5}),
        ("veo", {"prompt": "a red fox", "other": 1}),
        ("veo", {"prompt": 17}),
        ("secret", {}),
    ]
    for words, options in refused:
        with pytest.raises(NotOffered):
            ana.slash(words, options)
    chief = discord.new_person("chief", guild, permissions=Permission.MANAGE_GUILD)
    chief.slash("secret")
    with pytest.raises(NotOffered):
        discord.new_person("dan").slash("secret")
    image = ana.file("fox.png", b"png", "image/png")
    asked = ana.slash("veo", {"prompt": "a red fox", "image": image, "duration": "Four"})
    assert [each["value"] for each in asked.data["options"]] == ["a red fox", str(image.id), 4]
    assert asked.data["resolved"]["attachments"][str(image.id)]["filename"] == "fox.png"
    raw.answer(asked, components=[ROW], content="x", flags=64)
    with pytest.raises(NotOffered):
        chief.click(asked, "Go")
    with pytest.raises(NotOffered):
        ana.click(asked, "Stop")
    ana.click(asked, "go")


def test_an_update_changes_the_message_of_the_button(raw: Raw, ana: Person) -> None:
    raw.register()
    asked = ana.slash("veo", {"prompt": "a red fox"})
    raw.answer(asked, components=[ROW], content="x")
    clicked = ana.click(asked, "Go")
    assert raw.answer(clicked, Callback.UPDATE, content="y", components=[]).status_code == 204
    assert (asked.content, asked.components) == ("y", ())
    assert clicked.message is asked.message
    typed = ana.autocomplete("veo", {"prompt": "a red", "model": "f"}, "model")
    assert error(raw.answer(typed, content="x")) == (400, 50035)
    choices = [{"name": "Fast", "value": "fast"}]
    assert raw.answer(typed, Callback.CHOICES, choices=choices).status_code == 204
    assert typed.choices == choices
