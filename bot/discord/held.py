"""What this process remembers of all that it sends, for as long as the answer can be filled.

Postgres keeps it (:mod:`db.sent`), in a table that is in no log, for it holds secrets: a server
that crashes comes back without it. So whatever is no row yet and is missed there is kept anew.
"""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from db import sent
from db.records import NewRequest
from workers.chain import ReplyTo

MOST: Final = 5_000
"""Requests that Postgres keeps, of about a kilobyte each: the oldest of more are forgotten here."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A request on its way, and what the one who asked is told before anybody takes it up."""

    new: NewRequest
    reply_to: ReplyTo
    told: str
    #: By the monotonic clock.
    asked_at: float

    @property
    def is_over(self) -> bool:
        """Whether its answer cannot be filled any more."""
        return time.monotonic() - self.asked_at >= sent.LIFE.total_seconds()


class Held:
    """To be used in one event loop."""

    def __init__(self) -> None:
        #: What Postgres does not keep: for now this process alone knows of it.
        self.unkept: list[Asking] = []
        self._kept: dict[UUID, Asking] = {}

    @property
    def kept(self) -> list[UUID]:
        """What Postgres keeps, as far as it is known here, the oldest first."""
        return [*self._kept]

    def note_kept(self, one: Asking) -> None:
        """Postgres keeps it."""
        if one.new.id not in self._kept and len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
        self._kept[one.new.id] = one

    def found(self, admitted: Collection[UUID], missing: Collection[UUID]) -> None:
        """Some are rows by now. Others have gone with a crash of the server: they are kept anew."""
        for request_id in admitted:
            self._kept.pop(request_id, None)
        lost = (self._kept.pop(request_id, None) for request_id in missing)
        self.unkept.extend(one for one in lost if one is not None)

    def drop(self, is_meant: Callable[[Asking], bool]) -> None:
        """Remember nothing of these any more."""
        self._kept = {key: one for key, one in self._kept.items() if not is_meant(one)}
        # In place: somebody may be going through it.
        self.unkept[:] = [one for one in self.unkept if not is_meant(one)]
