"""Messages in channels, with the bot's own token (Resources, "Message", "Channel")."""

from typing import Any

from tests.e2e.discord import payloads, writing
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.model import Channel, Message
from tests.e2e.discord.permissions import Permission
from tests.e2e.discord.rest.routing import Call, Routes
from tests.e2e.discord.writing import Draft

MESSAGES = "/channels/{channel}/messages"
MESSAGE = MESSAGES + "/{message}"

routes = Routes()


@routes("GET", "/channels/{channel}")
def channel(call: Call) -> Json:
    """A channel."""
    return payloads.channel(_channel(call), call.world.bot)


@routes("GET", MESSAGES)
def history(call: Call) -> list[Json]:
    """The latest messages, newest first."""
    found = _channel(call, Permission.READ_MESSAGE_HISTORY)
    seen = [each for each in found.messages.values() if not each.is_ephemeral]
    before = int(call.query.get("before") or 1 << 63)
    after = int(call.query.get("after") or 0)
    wanted = [each for each in seen if after < each.id < before]
    wanted.sort(key=lambda each: each.id, reverse=True)
    return [_shown(call, each) for each in wanted[: int(call.query.get("limit") or 50)]]


@routes("POST", MESSAGES)
def send(call: Call) -> Json:
    """A new message; with `enforce_nonce` a second of the same nonce is the first."""
    found = _channel(call, Permission.SEND_MESSAGES)
    draft = call.draft
    _may_carry(found, call, draft)
    writing.check(call.world, draft)
    if found.recipient is not None and not found.recipient.accepts_dms:
        raise refusal(50007)
    again = _same_nonce(found, draft.fields)
    if again is not None:
        return _shown(call, again)
    return _shown(call, writing.write(call.world, found, call.world.bot, draft))


@routes("GET", MESSAGE)
def read(call: Call) -> Json:
    """A message."""
    return _shown(call, _message(call, _channel(call, Permission.READ_MESSAGE_HISTORY)))


@routes("PATCH", MESSAGE)
def edit(call: Call) -> Json:
    """A message of the bot's own changes."""
    found = _channel(call)
    message = _message(call, found)
    if message.author is not call.world.bot:
        raise refusal(50005)
    _may_carry(found, call, call.draft)
    writing.check(call.world, call.draft)
    return _shown(call, writing.edit(call.world, message, call.draft))


@routes("DELETE", MESSAGE)
def delete(call: Call) -> None:
    """A message goes; of others' only with the permission."""
    found = _channel(call)
    message = _message(call, found)
    if message.author is not call.world.bot:
        _need(found, call, Permission.MANAGE_MESSAGES)
    writing.delete(call.world, message)


@routes("POST", "/channels/{channel}/typing")
def typing(call: Call) -> None:
    """The bot is typing."""
    _channel(call, Permission.SEND_MESSAGES)


def _channel(call: Call, *needed: Permission) -> Channel:
    found = call.world.channel(call["channel"])
    if Permission.VIEW_CHANNEL not in found.permissions(call.world.bot):
        raise refusal(50001)
    for each in needed:
        _need(found, call, each)
    return found


def _need(found: Channel, call: Call, permission: Permission) -> None:
    if permission not in found.permissions(call.world.bot):
        raise refusal(50013)


def _may_carry(found: Channel, call: Call, draft: Draft) -> None:
    """Files and embeds have permissions of their own."""
    if draft.uploads:
        _need(found, call, Permission.ATTACH_FILES)
    if draft.fields.get("embeds"):
        _need(found, call, Permission.EMBED_LINKS)


def _message(call: Call, found: Channel) -> Message:
    """A message here; those for one user alone are hidden from this door."""
    message = call.world.message(call["message"])
    if message.channel is not found or message.is_ephemeral:
        raise refusal(10008)
    return message


def _same_nonce(found: Channel, fields: Json) -> Message | None:
    nonce: Any = fields.get("nonce")
    if nonce is None or not fields.get("enforce_nonce"):
        return None
    return next((each for each in found.messages.values() if each.nonce == str(nonce)), None)


def _shown(call: Call, message: Message) -> Json:
    return payloads.message(message, call.world.cdn, call.world.application_id)
