"""Answers that commands and buttons have in common."""

from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

import structlog
from sqlalchemy import Connection

from bot import embeds
from bot.discord import sentences, views
from bot.discord.answering import tell
from bot.discord.desk import Desk, Unavailable
from bot.discord.library import Asked, Json, nextcord
from bot.discord.pages import Page
from bot.discord.taking import guild_of, user_of
from db import history, pacing
from db.errors import RequestNotFound
from db.records import Request
from workers.storage import StorageUnavailable, link_to

log = structlog.get_logger(__name__)

LARGEST: Final = 9_500_000
"""Bytes that Discord takes from everybody, with something left for the rest of the message."""


def is_moderator(asked: Asked) -> bool:
    """Whether that person may delete what others write here."""
    return asked.guild_id is not None and asked.permissions.manage_messages


def may_manage(asked: Asked, request: Request) -> bool:
    """Whether the request is that person's, or one of the server they moderate."""
    if request.user_id == user_of(asked):
        return True
    return is_moderator(asked) and request.guild_id == guild_of(asked)


def there(conn: Connection, request_id: UUID) -> Request:
    """The request. Raises RequestNotFound, also where it was deleted."""
    found = history.by_id(conn, request_id)
    if found is None:
        raise RequestNotFound(request_id)
    return found


async def show_video(desk: Desk, asked: Asked, request_id: UUID) -> None:
    """A request of one's own, with the video where it can be had. The answer is promised."""
    request, place = await desk.ask(
        lambda conn: (there(conn, request_id), pacing.place(conn, request_id))
    )
    if not may_manage(asked, request):
        raise RequestNotFound(request_id)
    file = await desk.look_up(lambda: local_video(request))
    attached = [] if file is None else [nextcord.File(file, f"{request.id}.mp4")]
    shown = await _with_link(desk, request, place)
    await tell(asked, embeds=[shown], buttons=views.of_video(request), files=attached)


async def _with_link(desk: Desk, request: Request, place: int | None) -> Json:
    """The request, with a link to its video that works now, or why there is none."""
    try:
        link = await desk.look_up(lambda: link_to(desk.storage, request.video_urls))
    except (StorageUnavailable, Unavailable) as error:
        log.warning("link_not_made", request_id=str(request.id), reason=str(error))
        return embeds.video(request, place=place, note=sentences.NO_LINK)
    return embeds.video(request, place=place, link=link)


def local_video(request: Request) -> Path | None:
    """Its first video, if it lies in a folder that we see and is not too large to be attached."""
    for address in request.video_urls or ():
        path = Path(unquote(urlsplit(address).path))
        is_there = address.startswith("file://") and path.is_file()
        if is_there and path.stat().st_size <= LARGEST:
            return path
    return None


async def show_page(desk: Desk, asked: Asked, page: Page) -> None:
    """A page of one's own history. The answer is promised."""
    user_id = user_of(asked)
    found, has_older = await desk.ask(lambda conn: page.read(conn, user_id))
    shown = embeds.history(found, page=page.number, filtered_by=page.filtered_by)
    buttons = views.of_history(page, found, has_older=has_older)
    await tell(asked, embeds=[shown], buttons=buttons)
