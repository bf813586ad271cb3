"""Limits of a message (Resources, "Message": "Create Message", "Embed Limits")."""

from typing import Final

from tests.e2e.discord.errors import Json
from tests.e2e.discord.rules.checks import Path, Problems, form, items, one_of, text, whole
from tests.e2e.discord.rules.components import ROWS, unique_ids

ALL_EMBEDS: Final = 6000
"""Characters of all embeds of a message together."""

_ADDRESS: Final = text(1, 2048, r"(?s)(https?|attachment)://.+")
_MEDIA: Final = form(required=["url"], url=_ADDRESS)
_FIELD: Final = form(required=["name", "value"], name=text(1, 256), value=text(1, 1024))
_EMBED: Final = form(
    title=text(0, 256),
    description=text(0, 4096),
    url=_ADDRESS,
    color=whole(0, 0xFFFFFF),
    fields=items(_FIELD, 25),
    footer=form(required=["text"], text=text(0, 2048)),
    author=form(required=["name"], name=text(0, 256)),
    image=_MEDIA,
    thumbnail=_MEDIA,
)


def embed_size(embed: Json) -> int:
    """The characters of an embed that count."""
    fields = embed.get("fields") or []
    parts = [
        embed.get("title"),
        embed.get("description"),
        (embed.get("footer") or {}).get("text"),
        (embed.get("author") or {}).get("name"),
        *(field.get(key) for field in fields for key in ("name", "value")),
    ]
    return sum(len(str(part)) for part in parts if part)


def _all_embeds(value: Json, path: Path, problems: Problems) -> None:
    if problems.tree:  # their shape may be anything
        return
    embeds = value.get("embeds") or []
    if sum(embed_size(embed) for embed in embeds) > ALL_EMBEDS:
        message = f"Embed size exceeds maximum size of {ALL_EMBEDS}"
        problems.add((*path, "embeds"), "MAX_EMBED_SIZE_EXCEEDED", message)


def _mentions_are_exclusive(value: Json, path: Path, problems: Problems) -> None:
    """A type is either parsed or listed."""
    for kind in ("users", "roles"):
        if kind in (value.get("parse") or []) and value.get(kind):
            message = f'parse:["{kind}"] and {kind}: [ids...] are mutually exclusive.'
            problems.add(path, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE", message)


_IDS: Final = items(text(1, 20, r"\d+"), 100)
MESSAGE: Final = form(
    _all_embeds,
    unique_ids,
    content=text(0, 2000),
    embeds=items(_EMBED, 10),
    components=ROWS,
    attachments=items(form(required=["id"], description=text(0, 1024)), 10),
    nonce=text(0, 25),
    flags=whole(0, 1 << 16),
    allowed_mentions=form(
        _mentions_are_exclusive,
        parse=items(one_of({"roles", "users", "everyone"}), 3),
        users=_IDS,
        roles=_IDS,
    ),
)
"""What may be sent as a message, or as the change of one."""
