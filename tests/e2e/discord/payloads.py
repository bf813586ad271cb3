"""Objects as Discord writes them (Resources: "User", "Guild", "Channel", "Message")."""

from datetime import UTC, datetime
from urllib.parse import quote

from tests.e2e.discord.errors import Json
from tests.e2e.discord.model import (
    DM,
    EPHEMERAL,
    LOADING,
    TEXT,
    Attachment,
    Channel,
    Guild,
    Member,
    Message,
    Role,
    User,
)
from tests.e2e.discord.permissions import ORDINARY


def iso(seconds: float) -> str:
    """A time as Discord writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def user(each: User) -> Json:
    """A user object."""
    return {
        "id": str(each.id),
        "username": each.name,
        "discriminator": "0",
        "global_name": each.name,
        "avatar": None,
        "bot": each.is_bot,
        "public_flags": 0,
    }


def member(each: Member, *, with_user: bool = True) -> Json:
    """A guild member object."""
    return {
        **({"user": user(each.user)} if with_user else {}),
        "nick": None,
        "avatar": None,
        "roles": [str(role.id) for role in each.roles],
        "joined_at": each.joined_at,
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "pending": False,
        "flags": 0,
        "communication_disabled_until": None,
    }


def role(each: Role, position: int) -> Json:
    """A role object."""
    return {
        "id": str(each.id),
        "name": each.name,
        "color": 0,
        "hoist": False,
        "position": position,
        "permissions": str(int(each.permissions)),
        "managed": False,
        "mentionable": each.mentionable,
        "flags": 0,
    }


def channel(each: Channel, bot: User) -> Json:
    """A channel object."""
    last = str(max(each.messages)) if each.messages else None
    if each.guild is None:
        people = [user(each.recipient)] if each.recipient else []
        return {
            "id": str(each.id),
            "type": DM,
            "recipients": people,
            "last_message_id": last,
            "flags": 0,
        }
    denied = [{"id": str(bot.id), "type": 1, "allow": "0", "deny": str(int(each.denied))}]
    return {
        "id": str(each.id),
        "type": TEXT,
        "guild_id": str(each.guild.id),
        "name": each.name,
        "position": list(each.guild.channels).index(each.id),
        "permission_overwrites": denied if each.denied else [],
        "parent_id": None,
        "topic": None,
        "nsfw": False,
        "rate_limit_per_user": 0,
        "last_message_id": last,
        "flags": 0,
    }


def guild(each: Guild) -> Json:
    """A guild object, as GET gives it."""
    everyone = Role(each.id, "@everyone", ORDINARY)
    roles = [everyone, *each.roles.values()]
    return {
        "id": str(each.id),
        "name": each.name,
        "icon": None,
        "owner_id": str(each.owner.id),
        "afk_timeout": 300,
        "verification_level": 0,
        "default_message_notifications": 0,
        "explicit_content_filter": 0,
        "roles": [role(one, position) for position, one in enumerate(roles)],
        "emojis": [],
        "stickers": [],
        "features": [],
        "mfa_level": 0,
        "system_channel_id": None,
        "system_channel_flags": 0,
        "premium_tier": 0,
        "preferred_locale": "en-US",
        "nsfw_level": 0,
    }


def guild_create(each: Guild, bot: User) -> Json:
    """What GUILD_CREATE tells; without the intent for members, the bot's own alone."""
    return {
        **guild(each),
        "joined_at": each.members[bot.id].joined_at,
        "large": False,
        "unavailable": False,
        "member_count": len(each.members),
        "voice_states": [],
        "members": [member(each.members[bot.id])],
        "channels": [channel(one, bot) for one in each.channels.values()],
        "threads": [],
        "presences": [],
        "stage_instances": [],
        "guild_scheduled_events": [],
    }


def attachment(each: Attachment, where: Channel, cdn: str) -> Json:
    """An attachment object."""
    url = f"{cdn}/attachments/{where.id}/{each.id}/{quote(each.filename)}"
    found = {
        "id": str(each.id),
        "filename": each.filename,
        "size": len(each.content),
        "url": url,
        "proxy_url": url,
        "content_type": each.content_type,
    }
    return found if each.description is None else {**found, "description": each.description}


def message(each: Message, cdn: str, application_id: int) -> Json:
    """A message object."""
    now = each.now
    found: Json = {
        "id": str(each.id),
        "channel_id": str(each.channel.id),
        "author": user(each.author),
        "content": now.content,
        "timestamp": iso(each.versions[0].at),
        "edited_timestamp": iso(now.at) if each.edits else None,
        "tts": False,
        "mention_everyone": each.pings.has_everyone,
        "mentions": [user(one) for one in each.mentions],
        "mention_roles": [],
        "attachments": [attachment(one, each.channel, cdn) for one in now.attachments],
        "embeds": [{"type": "rich", **embed} for embed in now.embeds],
        "components": list(now.components),
        "pinned": False,
        "type": 20 if each.interaction else 0,
        "flags": each.flags
        | (EPHEMERAL if each.is_ephemeral else 0)
        | (LOADING if now.is_loading else 0),
    }
    if each.nonce is not None:
        found["nonce"] = each.nonce
    if each.interaction is not None:
        found |= {"interaction": each.interaction, "webhook_id": str(application_id)}
        found["application_id"] = str(application_id)
    return found
