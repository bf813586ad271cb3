"""What a person reads in Discord about a request of theirs: pure functions to messages as JSON.

A message pings and mentions the one who asked, and nobody else whatever the prompt says. It has no
embeds: in a channel they want a permission of their own.
"""

import re
import unicodedata
from datetime import timedelta
from decimal import Decimal
from enum import Enum, auto
from typing import Any, Final

from db.records import Experience, Request
from db.states import Status
from db.validation import is_snowflake
from workers.words import dollars, in_the_queue, parameters, seconds

Message = dict[str, Any]
"""Fields of Discord's message object."""

LONGEST: Final = 2000
"""Characters of a message; Discord's own limit."""
PROMPT_EXCERPT: Final = 280
NEGATIVE_EXCERPT: Final = 80
REASON_EXCERPT: Final = 400
SHORT_EXCERPT: Final = 160
"""Characters, before what means something to Discord is escaped; the short one beside a link."""
LONGEST_LINK: Final = 1200
"""Characters; one that is signed has about 900."""

_ISOLATE, _END_OF_ISOLATE, _JOINER = "\u2068", "\u2069", "\u200d"
_NO_SPACE: Final = "\u200b"
_SPECIAL: Final = re.compile(r"[\\`*_~|>#\[\]()<@:+-]")

_BLUE, _GREY, _RED = 1, 2, 4
"""Styles of buttons."""

_HELP: Final = {
    "filtered": "Other words help most; **Retry** sends the same ones once more.",
    "refused": "Please ask with other words.",
    "prompt_refused": "Please ask with other words.",
    "invalid_request": "Please ask with other parameters.",
    "model_unavailable": "Please choose another model.",
    "setup": "An operator finds it by its number: {id}",
    "provider_error": "**Retry** asks for it once more.",
    "no_video": "**Retry** asks for it once more.",
    "busy": "**Retry** in some minutes asks for it once more.",
    "timeout": "The video service may have been too busy. **Retry** asks for it once more.",
    "storage": "An operator finds it by its number: {id}",
}


class Video(Enum):
    """What an answer does with a finished video."""

    ATTACHED = auto()
    #: It does not fit: there is a link, or the way to an operator.
    TOO_LARGE = auto()
    #: It could not be read, or may not be attached here.
    ELSEWHERE = auto()


def answer(request: Request, video: Video = Video.ATTACHED, link: str | None = None) -> Message:
    """The answer to a request that has ended. Its content never exceeds Discord's limit.

    `link` opens a video that is not attached; None where there is none, or none now.
    """
    if request.status is Status.COMPLETED:
        lines = [_greeting(request.user_id, "your video is ready."), _quote(request, link)]
        lines += _whereabouts(request, video, link)
        buttons = _of_video(request)
    else:
        reason = quoted(request.error_message or "It failed.", REASON_EXCERPT)
        lines = [_greeting(request.user_id, f"your video was not made. {reason}"), _quote(request)]
        lines += [
            _HELP.get(request.error_code or "", _HELP["provider_error"]).format(id=request.id)
        ]
        buttons = [_button(_BLUE, "Retry", "retry", request)]
    return _with_buttons(request, lines, buttons)


def late(
    request: Request, waited: str, video: Video = Video.ATTACHED, link: str | None = None
) -> Message:
    """An apology with the video of a request that timed out after so long, ``5 minutes`` say."""
    text = f"your video took longer than {waited}, but here it is. Sorry for the wait!"
    lines = [_greeting(request.user_id, text), _quote(request, link)]
    lines += _whereabouts(request, video, link)
    return _with_buttons(request, lines, _of_video(request))


def refusal(user_id: str, sentence: str) -> Message:
    """Why a request was not taken on (RL3)."""
    return _message(_greeting(user_id, sentence), user_id) | {"components": []}


def progress(status: Status, age: timedelta, experience: Experience | None) -> Message:
    """How far a request is, as far as anybody knows (DC2): no percentage, for there is none.

    `age` is the time since its start, or its claim; `experience` what such requests have taken.
    """
    if status is not Status.GENERATING:
        text = "⏳ Queued: waiting for the video service."
    else:
        passed = age.total_seconds()
        began = f"started {_time(passed)} ago" if passed >= 1 else "just started"
        text = f"🎬 Your video is being made: {began}."
        if experience is not None:
            half, most = _time(experience.half), _time(experience.most)
            text += f" Of the latest videos like it, half took up to {half}, 19 of 20 up to {most}."
            if passed > experience.most:
                text += " This one takes longer than most."
    return {"content": text, "allowed_mentions": {"parse": []}}


def in_line(place: int) -> Message:
    """How far a request is that waits for its turn: its place, 1 is the next."""
    return {"content": f"⏳ Queued: {in_the_queue(place)}.", "allowed_mentions": {"parse": []}}


def quoted(text: str, longest: int) -> str:
    """What others wrote, in one line, as they wrote it and without any effect on what is around.

    Signs that mean something to Discord are escaped, invisible ones are left out, and the
    direction in which it is written ends where it ends.
    """
    line = " ".join(text.split())
    line = "".join(sign for sign in line if _is_visible(sign))
    if len(line) > longest:
        line = f"{line[: longest - 1].rstrip()}…"
    # A sign of no width: there is no @everyone, not even for those who do not know of escapes.
    escaped = _SPECIAL.sub(r"\\\g<0>", line).replace("@", f"@{_NO_SPACE}")
    return f"{_ISOLATE}{escaped}{_END_OF_ISOLATE}"


def _is_visible(sign: str) -> bool:
    # Joiners make one emoji of several.
    return sign == _JOINER or unicodedata.category(sign) not in ("Cc", "Cf", "Cs")


def _message(content: str, user_id: str) -> Message:
    users = [user_id] if is_snowflake(user_id) else []
    return {"content": content[:LONGEST], "allowed_mentions": {"parse": [], "users": users}}


def _greeting(user_id: str, text: str) -> str:
    if is_snowflake(user_id):
        return f"<@{user_id}> {text}"
    return f"{text[0].upper()}{text[1:]}"


def _quote(request: Request, link: str | None = None) -> str:
    return f"> {quoted(request.prompt, SHORT_EXCERPT if link else PROMPT_EXCERPT)}"


def _facts(request: Request) -> str:
    """What it was, how long it took, and what it cost."""
    facts = [parameters(request)]
    if request.negative_prompt:
        facts.append(f"without {quoted(request.negative_prompt, NEGATIVE_EXCERPT)}")
    if request.status is Status.COMPLETED:
        facts.append(f"took {seconds(request.duration_ms)}")
    cost = request.cost_usd or Decimal(0)
    if cost > 0:
        facts.append(dollars(cost) if request.billed else "nothing was billed")
    return f"-# {' · '.join(facts)}"


def _whereabouts(request: Request, video: Video, link: str | None) -> list[str]:
    """Where the video is, if it is not attached."""
    if video is Video.ATTACHED:
        return []
    why = "is too large to be attached" if video is Video.TOO_LARGE else "could not be attached"
    if link is not None and len(link) <= LONGEST_LINK:
        return [f"It {why}: [Watch the video](<{link}>)"]
    number = f"`{request.id}`"
    if str(next(iter(request.video_urls or ()), "")).startswith("gs://"):
        return [
            f"It {why}, and no link to it can be made right now: ask `/video` for {number} later."
        ]
    # An address on one of our machines is of no use to a user, and none of his business.
    return [f"It {why}. It is kept; an operator finds it by its number: {number}"]


def _of_video(request: Request) -> list[dict[str, Any]]:
    return [
        _button(_BLUE, "Remix", "remix", request),
        _button(_GREY, "Again", "again", request),
        _button(_RED, "Delete", "delete", request),
    ]


def _with_buttons(request: Request, lines: list[str], buttons: list[dict[str, Any]]) -> Message:
    content = "\n".join([*lines, _facts(request)])
    rows = [{"type": 1, "components": buttons}]
    return _message(content, request.user_id) | {"components": rows}


def _button(style: int, label: str, action: str, request: Request) -> dict[str, Any]:
    custom_id = f"video:{action}:{request.id}"
    return {"type": 2, "style": style, "label": label, "custom_id": custom_id}


def _time(passed: float) -> str:
    """``70 s`` or ``2 min 10 s``."""
    minutes, rest = divmod(round(passed), 60)
    return f"{minutes} min {rest} s" if minutes >= 2 else f"{round(passed)} s"
