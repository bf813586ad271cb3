"""What a request carries (Reference, "Uploading Files"): JSON, or a form with files."""

import json
import re
from dataclasses import dataclass
from typing import Any

from aiohttp import BodyPartReader, web

from tests.e2e.discord.errors import refusal
from tests.e2e.discord.writing import Upload

_FILE = re.compile(r"files?\[?(\d*)\]?")


@dataclass(frozen=True)
class Body:
    """JSON and files."""

    data: Any = None
    uploads: tuple[Upload, ...] = ()


async def read(request: web.Request) -> Body:
    """All of a request. Refuses what is no JSON."""
    if request.content_type.startswith("multipart/"):
        return await _form(request)
    text = await request.text()
    return Body(_json(text) if text else None)


async def _form(request: web.Request) -> Body:
    data: Any = {}
    uploads: list[Upload] = []
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader):
            continue
        name = part.name or ""
        if name == "payload_json":
            data = _json(await part.text())
        elif found := _FILE.fullmatch(name):
            kind = part.headers.get("Content-Type", "application/octet-stream")
            content = bytes(await part.read(decode=True))
            number = int(found[1] or len(uploads))
            uploads.append(Upload(number, part.filename or "unknown", content, kind))
    return Body(data, tuple(uploads))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise refusal(50109) from None
