"""Who is pinged (Resources, "Message": "Allowed Mentions Object").

A mention must stand in the text *and* be allowed. Embeds never ping. Without `allowed_mentions`
every mention in the text is parsed. Roles ping if they are mentionable, everyone only by who may.
"""

import re

from tests.e2e.discord.errors import Json
from tests.e2e.discord.model import Channel, Pings, User
from tests.e2e.discord.permissions import Permission

_USER = re.compile(r"<@!?(\d+)>")
_ROLE = re.compile(r"<@&(\d+)>")
_EVERYONE = re.compile(r"@(?:everyone|here)\b")
_EVERYTHING: Json = {"parse": ["users", "roles", "everyone"]}


def mentioned(content: str, allowed: Json | None, channel: Channel, author: User) -> Pings:
    """Whom a text mentions with effect."""
    rules = _EVERYTHING if allowed is None else allowed
    may_all = Permission.MENTION_EVERYONE in channel.permissions(author)
    users = {
        user for user in channel.people if str(user.id) in _allowed(_USER, "users", content, rules)
    }
    if channel.guild is not None:
        wanted = _allowed(_ROLE, "roles", content, rules)
        for member in channel.guild.members.values():
            if any(
                str(role.id) in wanted and (role.mentionable or may_all) for role in member.roles
            ):
                users.add(member.user)
    has_everyone = (
        channel.guild is not None
        and may_all
        and "everyone" in (rules.get("parse") or [])
        and bool(_EVERYONE.search(content))
    )
    if has_everyone:
        users |= set(channel.people)
    return Pings(frozenset(user for user in users if not user.is_bot), has_everyone)


def _allowed(pattern: re.Pattern[str], kind: str, content: str, rules: Json) -> set[str]:
    """The ids in the text that the rules allow."""
    found = set(pattern.findall(content))
    if kind in (rules.get("parse") or []):
        return found
    return found & {str(each) for each in rules.get(kind) or []}
