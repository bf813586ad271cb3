"""One message on its way to Discord, by the best way that is open (DESIGN, 8).

The answer is edited as long as its token lives, and then the channel is written to (what comes
late does it the other way round); the video is attached where Discord takes it. Both may be done
again: an edit replaces itself, and a message in a channel has the same nonce.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from db.records import ReplyTo
from workers import discord
from workers.answers import Message, Video
from workers.discord import DiscordError, File, NoAnswer, Rejected, Unavailable
from workers.settings import DiscordSettings

SEND_FOR: Final = 15.0
"""Seconds after which no other send begins; the longest takes 30."""
TOO_LARGE: Final = 40005
MISSING_PERMISSIONS: Final = 50013
_NONCE_LENGTH: Final = 25


class Hopeless(DiscordError):
    """No other attempt could do better."""


def nonce(request_id: UUID, *, is_late: bool = False) -> str:
    """What all tries at one message have in common, and no other message has."""
    return f"{'late' if is_late else ''}{request_id.hex}"[:_NONCE_LENGTH]


@dataclass(slots=True)
class Sending:
    """What is to be sent and where to; when it is sent, how that went."""

    settings: DiscordSettings
    #: What makes a message in a channel the same when it is sent again.
    nonce: str
    channel_id: str
    #: None where there is no token (any more).
    reply_to: ReplyTo | None
    #: The message, by what becomes of the video, and its link where it is not attached.
    compose: Callable[[Video, str | None], Message]
    #: Makes such a link, if there is one.
    make_link: Callable[[], str | None] = lambda: None
    #: An answer to be edited only where the channel takes nothing.
    instead: ReplyTo | None = None
    file: File | None = None
    video: Video = Video.ATTACHED
    #: What stood in the way, in words for operators.
    detours: list[str] = field(default_factory=list)
    #: What the channel would not take, and an answer may.
    left_out: File | None = None

    @property
    def how(self) -> str:
        """``edit`` or ``channel``."""
        return "channel" if self.reply_to is None else "edit"

    def send(self) -> None:
        """Send it. Raises DiscordError: Hopeless, where trying again would be in vain."""
        began = time.monotonic()
        may_repeat = True
        # No detour is taken twice, so this ends.
        while True:
            try:
                self._send_once()
            except Rejected as error:
                self._go_round(error)
                self.detours.append(str(error))
            except NoAnswer:
                raise
            except Unavailable as error:
                # One bad machine behind Discord's; the next is worth a try at once, and no more.
                if not may_repeat:
                    raise
                may_repeat = False
                self.detours.append(str(error))
            else:
                return
            if time.monotonic() - began > SEND_FOR:
                raise NoAnswer("Discord took too long for all of it")

    def _send_once(self) -> None:
        link = None if self.video is Video.ATTACHED else self.make_link()
        message = self.compose(self.video, link)
        if self.settings.discord_token is None:
            # No channel can be written to.
            self.reply_to = self.reply_to or self.instead
        if self.reply_to is not None:
            discord.edit_answer(self.settings, self.reply_to, message, self.file)
        else:
            discord.write(self.settings, self.channel_id, message, self.file, nonce=self.nonce)

    def _go_round(self, error: Rejected) -> None:
        """Leave out what Discord does not take. Raises if there is nothing to be left out."""
        is_too_large = error.status == 413 or error.code == TOO_LARGE
        is_forbidden = self.reply_to is None and error.code == MISSING_PERMISSIONS
        if self.file is not None and (is_too_large or is_forbidden):
            self.left_out = None if is_too_large else self.file
            self.file = None
            self.video = Video.TOO_LARGE if is_too_large else Video.ELSEWHERE
        elif self.reply_to is not None and error.status in (401, 403, 404):
            # The token is dead, the answer deleted, or the channel; the last one will show itself.
            self.reply_to, self.instead = None, None
        elif self.instead is not None and error.status in (401, 403, 404):
            self.reply_to, self.instead = self.instead, None
            if self.left_out is not None:
                self.file, self.left_out, self.video = self.left_out, None, Video.ATTACHED
        elif error.status == 401:
            # The bot's own token: an operator can mend that.
            raise Unavailable("Discord does not accept DISCORD_TOKEN (401)")
        else:
            raise Hopeless(str(error))
