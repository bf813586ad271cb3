"""Buttons, menus and forms, found by their ids alone, so that they outlive this process."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from bot.discord import sentences, views
from bot.discord.answering import (
    FAILURES,
    open_form,
    promise,
    promise_change,
    tell,
    tell_aside,
)
from bot.discord.desk import Declined, Desk, Unavailable
from bot.discord.library import Asked, Json, nextcord
from bot.discord.pages import Page
from bot.discord.showing import may_manage, show_page, show_video, there
from bot.discord.taking import check, guild_of, request_id, take_on, user_of
from db import keeping
from db.errors import RequestNotFound
from db.records import Request
from db.states import Status
from workers import cancelling
from workers.providers import kept_model

log = structlog.get_logger(__name__)

FORM_PATIENCE: Final = 1.5
"""Seconds that a form waits for the prompt it begins with: it cannot be promised first."""

Act = Callable[[Asked, UUID], Awaitable[None]]


class Buttons:
    """What is done for each id."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._of_video: dict[str, Act] = {
            "again": partial(self._again, keeps_seed=False),
            "retry": partial(self._again, keeps_seed=True),
            "remix": self._open_remix,
            "delete": self._delete,
            "archive": partial(self._put_away, is_back=False),
            "restore": partial(self._put_away, is_back=True),
        }

    async def use(self, asked: Asked, custom_id: str, data: Json) -> None:
        """Do what the id says. One that nobody knows is somebody else's."""
        match custom_id.split(":"):
            case ["video", "remix", written] if asked.type is nextcord.InteractionType.modal_submit:
                await self._remix(asked, UUID(written), _typed(data))
            case ["video", action, written] if action in self._of_video:
                await self._of_video[action](asked, UUID(written))
            case ["history", "page", *_]:
                await self._turn(asked, Page.from_custom_id(custom_id))
            case ["history", "open"]:
                await promise(asked, is_private=True)
                await show_video(self._desk, asked, UUID(data["values"][0]))
            case ["mydata", "forget"]:
                await promise_change(asked)
                await self._forget(asked)
            case ["mydata", "keep"]:
                await promise_change(asked)
                await tell(asked, sentences.KEPT)
            case _:
                log.warning("interaction_unknown", interaction=asked.id)

    async def _again(self, asked: Asked, source_id: UUID, *, keeps_seed: bool) -> None:
        """The same once more; after a video, with its seed, it would be that video once more."""
        await promise(asked, is_private=False)
        source = await self._source(asked, source_id)
        seed = source.seed if keeps_seed else None
        await self._take_on(asked, source, source.prompt, seed=seed)

    async def _open_remix(self, asked: Asked, source_id: UUID) -> None:
        prompt = ""
        try:
            source = await self._desk.ask_soon(
                lambda conn: there(conn, source_id), within=FORM_PATIENCE
            )
            self._check_place(asked, source)
            prompt = source.prompt
        except Unavailable as error:
            log.warning("prompt_unavailable", request_id=str(source_id), reason=str(error))
        await open_form(asked, views.RemixForm(source_id, prompt))

    async def _remix(self, asked: Asked, source_id: UUID, prompt: str) -> None:
        await promise(asked, is_private=False)
        await self._take_on(asked, await self._source(asked, source_id), prompt)

    async def _source(self, asked: Asked, source_id: UUID) -> Request:
        source = await self._desk.ask(lambda conn: there(conn, source_id))
        self._check_place(asked, source)
        return source

    @staticmethod
    def _check_place(asked: Asked, source: Request) -> None:
        """What was asked for elsewhere is nobody's business here."""
        if source.user_id != user_of(asked) and source.guild_id != guild_of(asked):
            raise RequestNotFound(source.id)

    async def _take_on(
        self, asked: Asked, source: Request, prompt: str, *, seed: int | None = None
    ) -> None:
        new = source.remixed(
            request_id(asked),
            prompt,
            user_id=user_of(asked),
            guild_id=guild_of(asked),
            channel_id=str(asked.channel_id),
            model=kept_model(self._desk.provider, source),
            seed=seed,
        )
        check(self._desk, asked, new)
        await take_on(self._desk, asked, new)

    async def _delete(self, asked: Asked, source_id: UUID) -> None:
        await promise(asked, is_private=True)
        is_counted = self._desk.settings.worker.failed_requests_count

        def delete(conn: Connection) -> Request:
            if not may_manage(asked, there(conn, source_id)):
                raise Declined(sentences.NOT_YOURS)
            return cancelling.delete(
                conn, self._desk.storage, source_id, by=user_of(asked), is_counted=is_counted
            )

        deleted = await self._desk.ask(delete)
        await tell(asked, sentences.deleted(_stage(deleted)))
        if asked.message is not None and not asked.message.flags.ephemeral:
            await self._remove(asked)

    @staticmethod
    async def _remove(asked: Asked) -> None:
        """Take the message with the video out of the channel."""
        message: Any = asked.message
        try:
            await message.delete()
        except nextcord.NotFound:
            return
        except FAILURES as error:
            log.warning("message_not_deleted", interaction=asked.id, error=type(error).__name__)
            await tell_aside(asked, sentences.MESSAGE_STAYS)

    async def _put_away(self, asked: Asked, source_id: UUID, *, is_back: bool) -> None:
        await promise(asked, is_private=True)

        def put(conn: Connection) -> None:
            if there(conn, source_id).user_id != user_of(asked):
                raise Declined(sentences.NOT_YOURS)
            act = keeping.restore if is_back else keeping.archive
            act(conn, source_id, by=user_of(asked))

        await self._desk.ask(put)
        await tell(asked, sentences.RESTORED if is_back else sentences.ARCHIVED)

    async def _forget(self, asked: Asked) -> None:
        marked = await self._desk.forget(user_of(asked))
        await tell(asked, sentences.forgotten(marked.requests, marked.being_made))

    async def _turn(self, asked: Asked, page: Page) -> None:
        await promise_change(asked)
        try:
            await show_page(self._desk, asked, page)
        except Unavailable:
            await tell_aside(asked, sentences.UNAVAILABLE)


def _typed(data: Json) -> str:
    """What stands in the one field of a form."""
    [row] = data["components"]
    [field] = row["components"]
    return str(field["value"])


def _stage(request: Request) -> str:
    if request.error_code == keeping.CANCELLED:
        return "never"
    return "going" if request.status in (Status.PENDING, Status.GENERATING) else "ended"
