"""Discord's REST API, as far as an answer needs it: no event loop, and no secret in an error.

Every phase of a request (connecting, sending, waiting for the answer) has an end. Nothing here
tries again: who calls knows what may be repeated, and when.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from urllib3 import encode_multipart_formdata

from db.records import ReplyTo
from workers.answers import Message
from workers.settings import DiscordSettings

PATIENCE: Final = 4.0
UPLOAD_PATIENCE: Final = 10.0
"""Seconds for each phase."""
USER_AGENT: Final = "DiscordBot (video-bot, 0.1)"


class DiscordError(Exception):
    """Any of the errors below. The message is for operators and holds no secret."""


class Rejected(DiscordError):
    """Discord will not do it: a status of 4xx, and its own code where it names one."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"Discord answered {status}, code {code}")
        self.status = status
        self.code = code


class RateLimited(DiscordError):
    """Discord wants us to wait; `retry_after` is in seconds."""

    def __init__(self, retry_after: float, *, is_global: bool) -> None:
        super().__init__(f"Discord answered 429, retry after {retry_after:g} s")
        self.retry_after = retry_after
        self.is_global = is_global


class Unavailable(DiscordError):
    """No answer, or one of 5xx. Whether it was done is unknown."""


class NoAnswer(Unavailable):
    """It took too long. What was asked for may still be done later."""


@dataclass(frozen=True, slots=True)
class File:
    """What is attached to a message."""

    name: str
    content: bytes


def edit_answer(
    settings: DiscordSettings,
    reply_to: ReplyTo,
    message: Message,
    file: File | None = None,
    *,
    patience: float | None = None,
) -> None:
    """Fill a deferred answer, or change it. Its attachments are replaced. Raises DiscordError."""
    path = f"/webhooks/{reply_to.application_id}/{reply_to.token}/messages/@original"
    body = message if file is not None else {**message, "attachments": []}
    _call(settings, "PATCH", path, body, file, patience=patience)


def read_answer(settings: DiscordSettings, reply_to: ReplyTo) -> str:
    """What an answer says now. Raises DiscordError."""
    path = f"/webhooks/{reply_to.application_id}/{reply_to.token}/messages/@original"
    return str(_call(settings, "GET", path).json()["content"])


def write(
    settings: DiscordSettings,
    channel_id: str,
    message: Message,
    file: File | None = None,
    *,
    nonce: str,
) -> None:
    """Write to a channel as the bot. The same `nonce` again, soon, is the same message.

    Raises DiscordError.
    """
    if settings.discord_token is None:
        raise Unavailable("DISCORD_TOKEN is not set, so no channel can be written to")
    token = settings.discord_token.get_secret_value()
    body = {**message, "nonce": nonce, "enforce_nonce": True}
    _call(settings, "POST", f"/channels/{channel_id}/messages", body, file, token=token)


def name_of(settings: DiscordSettings) -> str:
    """The bot's name, as Discord tells whoever has its token. Raises DiscordError."""
    token = settings.discord_token
    known_by = None if token is None else token.get_secret_value()
    answer = _call(settings, "GET", "/users/@me", token=known_by)
    return str(answer.json()["username"])


def now(settings: DiscordSettings) -> datetime:
    """Discord's own time, in whole seconds; it takes no token. Raises DiscordError."""
    answer = _call(settings, "GET", "/gateway")
    return parsedate_to_datetime(answer.headers["Date"])


def _call(
    settings: DiscordSettings,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    file: File | None = None,
    *,
    token: str | None = None,
    patience: float | None = None,
) -> requests.Response:
    given: dict[str, Any] = {} if body is None else {"json": body}
    headers = {"User-Agent": USER_AGENT}
    if file is not None:
        form = _Form({**(body or {}), "attachments": [{"id": 0, "filename": file.name}]}, file)
        given = {"data": form}
        headers["Content-Type"] = form.content_type
    try:
        answer = requests.request(
            method,
            settings.discord_api_url + path,
            auth=_bearer(token),
            headers=headers,
            timeout=patience or (PATIENCE if file is None else UPLOAD_PATIENCE),
            # A token goes where it was meant to go.
            allow_redirects=False,
            **given,
        )
    except requests.Timeout:
        error: DiscordError = NoAnswer("Discord did not answer in time")
    except requests.RequestException as problem:
        # Its own words have the address, and with it the token.
        error = Unavailable(f"Discord cannot be reached ({type(problem).__name__})")
    else:
        if answer.ok and not answer.is_redirect:
            return answer
        error = _refusal(answer)
    # Outside of the handler: nothing that shows it can show what it came from.
    raise error


class _Form:
    """A message with a file, as a form that is sent in parts: the file is not copied into it."""

    def __init__(self, body: dict[str, Any], file: File) -> None:
        fields: dict[str, str | tuple[str, bytes, str]] = {
            "payload_json": json.dumps(body),
            "files[0]": (file.name, b"", "video/mp4"),
        }
        empty, self.content_type = encode_multipart_formdata(fields)
        # What comes after a file's content begins with the last end of a line but one.
        place = empty.rindex(b"\r\n", 0, -2)
        self._parts = (empty[:place], memoryview(file.content), empty[place:])

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return iter(self._parts)


def _bearer(token: str | None) -> Callable[[Any], Any]:
    """Authorises as the bot, or not at all, whatever this machine's .netrc says."""

    def authorise(request: Any) -> Any:
        if token is not None:
            request.headers["Authorization"] = f"Bot {token}"
        return request

    return authorise


def _refusal(answer: requests.Response) -> DiscordError:
    told: Any = None
    with suppress(ValueError):
        told = answer.json()
    told = told if isinstance(told, dict) else {}
    if answer.status_code == 429:
        after = told.get("retry_after", answer.headers.get("Retry-After"))
        return RateLimited(_seconds(after), is_global=bool(told.get("global")))
    if answer.status_code >= 500:
        return Unavailable(f"Discord answered {answer.status_code}")
    code = told.get("code")
    return Rejected(answer.status_code, code if isinstance(code, int) else 0)


def _seconds(told: Any) -> float:
    try:
        return max(float(told), 0.0)
    except (TypeError, ValueError):
        return 1.0
