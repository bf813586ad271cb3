"""Answers to what people did: promised at once, given later, and in words whatever went wrong."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import aiohttp
import structlog

from bot.discord import sentences
from bot.discord.desk import Declined, Unavailable
from bot.discord.library import Asked, Json, nextcord
from bot.discord.promises import Promises
from db.errors import RequestNotFound

log = structlog.get_logger(__name__)

PATIENCE: Final = 30.0
"""Seconds for one request to Discord; nextcord itself would wait for minutes."""
PAUSES: Final = (1.0, 3.0, 9.0)
"""Seconds between the tries at an answer that nothing else will follow."""

#: Another process with the same token was first, or it is too late: there is nobody to answer.
_TAKEN: Final = (40060, 10062)

_FINAL: Final = {*range(400, 500)} - {429}
"""What no later try would change; for a limit nextcord itself waits five times only."""

FAILURES: Final = (nextcord.HTTPException, aiohttp.ClientError, OSError, TimeoutError)
"""What comes of an answer that does not reach Discord."""

_promises = Promises()


class NotOurs(Exception):
    """The interaction is another process's, or gone."""


async def promise(asked: Asked, *, is_private: bool) -> None:
    """Answer that the answer will come; `is_private` shows it to that person alone.

    Raises NotOurs where this process must do nothing about it.
    """
    # A button's or form's own answer is a new message too.
    await _first(asked.response.defer(ephemeral=is_private, with_message=True))


async def promise_change(asked: Asked) -> None:
    """Answer that the message of the button will change. Raises NotOurs."""
    await _first(asked.response.defer())


async def open_form(asked: Asked, form: nextcord.ui.Modal) -> None:
    """Answer with a form. Raises NotOurs."""
    try:
        await _first(asked.response.send_modal(form))
    finally:
        # What comes of it is found by its id; nextcord is not to answer it as well.
        form.stop()


async def _first(answer: Any) -> None:
    try:
        with _promises.one():
            async with asyncio.timeout(PATIENCE):
                await answer
    except nextcord.HTTPException as error:
        if error.code not in _TAKEN:
            raise
        log.warning("interaction_not_ours", code=error.code)
        raise NotOurs from None
    await _promises.give_way()


async def tell(
    asked: Asked,
    content: str = "",
    *,
    embeds: Sequence[Json] = (),
    buttons: nextcord.ui.View | None = None,
    files: Sequence[nextcord.File] = (),
) -> None:
    """Give the answer that was promised."""
    more: dict[str, Any] = {"files": [*files]} if files else {}
    if buttons is not None:
        # They are found by their ids, after a restart too; nextcord is not to keep them.
        buttons.stop()
    async with asyncio.timeout(PATIENCE):
        await asked.edit_original_message(
            content=content,
            embeds=[nextcord.Embed.from_dict(each) for each in embeds],
            view=buttons,
            **more,
        )


async def tell_aside(asked: Asked, content: str) -> None:
    """Tell that person alone, beside what was promised or before anything was."""
    async with asyncio.timeout(PATIENCE):
        if asked.response.is_done():
            await asked.followup.send(content, ephemeral=True)
        else:
            await _first(asked.response.send_message(content, ephemeral=True))


async def explain(asked: Asked, error: BaseException, what: str) -> None:
    """Say in words why there is no other answer, and log what is no ordinary reason (LG2)."""
    if isinstance(error, NotOurs):
        return
    sentence = _sentence(error)
    if isinstance(error, Unavailable):
        log.warning("answer_unavailable", asked=what, interaction=asked.id, reason=str(error))
    elif not isinstance(error, Declined | RequestNotFound):
        log.error("answer_failed", asked=what, interaction=asked.id, error=_named(error))
    try:
        if asked.response.is_done():
            await _insist(asked, sentence)
        else:
            await tell_aside(asked, sentence)
    except (NotOurs, *FAILURES) as lost:
        log.warning("answer_lost", asked=what, interaction=asked.id, error=_named(lost))


async def _insist(asked: Asked, sentence: str) -> None:
    """Tell it, on a later try if need be: nobody else will, and an edit may be made twice."""
    for pause in PAUSES:
        try:
            await tell(asked, sentence)
        except FAILURES as error:
            if isinstance(error, nextcord.HTTPException) and error.status in _FINAL:
                raise
        else:
            return
        await asyncio.sleep(pause)
    await tell(asked, sentence)


def _sentence(error: BaseException) -> str:
    match error:
        case Declined():
            return str(error)
        case RequestNotFound():
            return sentences.NO_SUCH_VIDEO
        case Unavailable():
            return sentences.UNAVAILABLE
    return sentences.BROKEN


def _named(error: BaseException) -> str:
    """What kind of error it was and where: its words may quote an address with a token in it."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f" in {last.tb_frame.f_code.co_name}:{last.tb_lineno}" if last is not None else ""
    code = f" {error.code}" if isinstance(error, nextcord.HTTPException) else ""
    return f"{type(error).__name__}{code}{where}"
