"""Messages come to be, change and go, whoever asks for it.

Resources, "Message": an edit changes what it names and nothing else; `attachments` in an edit
lists what stays, and uploaded files come after. Edits never ping, and neither does what fills an
answer that was deferred, which is an edit to Discord.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from tests.e2e.discord import payloads
from tests.e2e.discord.errors import Json, refusal
from tests.e2e.discord.gateway.intents import DIRECT_MESSAGES, GUILD_MESSAGES
from tests.e2e.discord.mentions import mentioned
from tests.e2e.discord.model import EPHEMERAL, Attachment, Channel, Message, Pings, User, Version
from tests.e2e.discord.rules.checks import Problems, enforce
from tests.e2e.discord.rules.messages import MESSAGE
from tests.e2e.discord.world import World

MOST_FILES: Final = 10


@dataclass(frozen=True)
class Upload:
    """A file of a multipart body; `number` is the n of its `files[n]`."""

    number: int
    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


@dataclass(frozen=True)
class Draft:
    """What is asked for: fields of a message, and files."""

    fields: Json
    uploads: Sequence[Upload] = ()

    @property
    def flags(self) -> int:
        """The message's flags."""
        return int(self.fields.get("flags") or 0)


def check(world: World, draft: Draft, *path: str) -> None:
    """Refuse what breaks a limit; `path` leads from the body to the message."""
    if any(len(each.content) > world.upload_limit for each in draft.uploads):
        raise refusal(40005)
    enforce(MESSAGE, draft.fields, *path)
    if len(draft.uploads) > MOST_FILES:
        problems = Problems()
        message = f"Must be {MOST_FILES} or fewer in length."
        problems.add((*path, "attachments"), "BASE_TYPE_MAX_LENGTH", message)
        problems.refuse()


def write(
    world: World,
    channel: Channel,
    author: User,
    draft: Draft,
    *,
    only_for: User | None = None,
    interaction: Json | None = None,
    is_loading: bool = False,
) -> Message:
    """A new message, which pings whom it mentions. Refuses an empty one."""
    empty = Version(at=world.clock.now(), monotonic=time.monotonic(), is_loading=is_loading)
    first = empty if is_loading else _next(world, empty, draft)
    nonce = draft.fields.get("nonce")
    made = Message(
        world.clock.snowflake(),
        channel,
        author,
        [first],
        flags=draft.flags & ~EPHEMERAL,
        only_for=only_for,
        interaction=interaction,
        nonce=None if nonce is None else str(nonce),
    )
    pings = mentioned(first.content, draft.fields.get("allowed_mentions"), channel, author)
    seen = pings.users if only_for is None else pings.users & {only_for}
    made.mentions = seen
    made.pings = Pings(frozenset(seen), pings.has_everyone and only_for is None)
    channel.messages[made.id] = world.messages[made.id] = made
    tell(world, "MESSAGE_CREATE", made)
    return made


def edit(world: World, message: Message, draft: Draft) -> Message:
    """Another version of a message; an answer that was to come has then come."""
    message.versions.append(replace(_next(world, message.now, draft), is_loading=False))
    if "content" in draft.fields:
        rules = draft.fields.get("allowed_mentions")
        found = mentioned(message.content, rules, message.channel, message.author)
        message.mentions = found.users
    tell(world, "MESSAGE_UPDATE", message)
    return message


def delete(world: World, message: Message) -> None:
    """It is gone, for everybody."""
    message.is_deleted = True
    message.channel.messages.pop(message.id, None)
    tell(world, "MESSAGE_DELETE", message)


def tell(world: World, event: str, message: Message) -> None:
    """Tell the bot of a message; of those that one user alone sees it hears nothing."""
    if message.is_ephemeral:
        return
    guild = message.channel.guild
    data = payloads.message(message, world.cdn, world.application_id)
    if event == "MESSAGE_DELETE":
        data = {"id": data["id"], "channel_id": data["channel_id"]}
    if guild is not None:
        data["guild_id"] = str(guild.id)
        if event != "MESSAGE_DELETE":
            data["member"] = payloads.member(guild.members[message.author.id], with_user=False)
    world.emit(event, data, intent=DIRECT_MESSAGES if guild is None else GUILD_MESSAGES)


def _next(world: World, before: Version, draft: Draft) -> Version:
    """The version that follows, with what the draft names put in its place."""
    fields = draft.fields
    found = replace(
        before,
        at=world.clock.now(),
        monotonic=time.monotonic(),
        attachments=_attachments(world, before, draft),
    )
    if "content" in fields:
        found = replace(found, content=str(fields["content"] or ""))
    if "embeds" in fields:
        found = replace(found, embeds=tuple(fields["embeds"] or ()))
    if "components" in fields:
        found = replace(found, components=tuple(fields["components"] or ()))
    if not (found.content or found.embeds or found.attachments or found.components):
        raise refusal(50006)
    return found


def _attachments(world: World, before: Version, draft: Draft) -> tuple[Attachment, ...]:
    """What stays, and what is uploaded, with the names the body gives."""
    listed = draft.fields.get("attachments", None)
    stays = before.attachments
    told: dict[int, Json] = {}
    if "attachments" in draft.fields:
        told = {int(each["id"]): each for each in listed or []}
        stays = tuple(each for each in before.attachments if each.id in told)
    made = []
    for upload in draft.uploads:
        about = told.get(upload.number, {})
        new = Attachment(
            world.clock.snowflake(),
            about.get("filename") or upload.filename,
            upload.content,
            upload.content_type,
            about.get("description"),
        )
        world.files[new.id] = new
        made.append(new)
    if len(stays) + len(made) > MOST_FILES:
        raise refusal(50035)
    return (*stays, *made)
