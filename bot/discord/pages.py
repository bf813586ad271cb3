"""Which page of whose history: what its buttons carry, and the question behind it."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from bot.discord.desk import Declined
from db import history
from db.history import Wanted
from db.records import Request
from db.states import Status

SIZE: Final = 5
OLDEST_PAGE: Final = 999
ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Page:
    """A page, counted from 0. Dates are days in UTC, like ``2026-02-28``, or empty."""

    number: int = 0
    status: str = ANY
    since: str = ""
    until: str = ""
    is_archived: bool = False

    def custom_id(self, button: str) -> str:
        """For a button that leads here; two of one message must not have the same."""
        archived = "archived" if self.is_archived else ""
        parts = (self.number, self.status, self.since, self.until, archived, button)
        return ":".join(map(str, ("history", "page", *parts)))

    @classmethod
    def from_custom_id(cls, custom_id: str) -> "Page":
        """The reverse. Raises ValueError for what no button of ours carries."""
        _, _, number, status, since, until, archived, _ = custom_id.split(":")
        return cls(int(number), status, since, until, bool(archived))

    @property
    def newer(self) -> "Page":
        """The one before it."""
        return replace(self, number=max(self.number - 1, 0))

    @property
    def older(self) -> "Page":
        """The one behind it."""
        return replace(self, number=self.number + 1)

    @property
    def filtered_by(self) -> str:
        """What is left out, in words."""
        named = [
            "" if self.status == ANY else self.status,
            f"from {self.since}" if self.since else "",
            f"until {self.until}" if self.until else "",
            "archived" if self.is_archived else "",
        ]
        return ", ".join(filter(None, named))

    @property
    def wanted(self) -> Wanted:
        """The filter. Raises Declined where a date is none."""
        statuses = [] if self.status == ANY else [Status(self.status)]
        since, until = _day(self.since), _day(self.until)
        # The last day is meant to its end.
        end = until + timedelta(days=1) if until else None
        if since and end and since >= end:
            raise Declined("The first day must not be after the last.")
        return Wanted(statuses, since, end, is_archived=self.is_archived)

    def read(self, conn: Connection, user_id: str) -> tuple[list[Request], bool]:
        """What is on it, and whether there is an older one."""
        found = history.of_user(
            conn, user_id, self.wanted, limit=SIZE + 1, offset=self.number * SIZE
        )
        return found[:SIZE], len(found) > SIZE


def _day(written: str) -> datetime | None:
    if not written:
        return None
    try:
        day = datetime.strptime(written, "%Y-%m-%d").replace(tzinfo=UTC)
        # Every day that a window can begin or end with.
        day + timedelta(days=1)
    except (ValueError, OverflowError):
        raise Declined("A day must be written like 2026-02-28.") from None
    return day
