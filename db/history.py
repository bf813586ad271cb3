"""Reads of what was asked for and what became of it, newest first (QH1)."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, select, tuple_

from db.records import Request
from db.requests import as_request
from db.states import Status
from db.tables import video_requests

c = video_requests.c


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which requests: of these states, any where none is named; `since` inclusive, `until` not.

    What was archived is on a list of its own; what was deleted is on none.
    """

    statuses: Collection[Status] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_archived: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends, to find the next one as quickly at any depth.

    It stays a place when its request is gone.
    """

    created_at: datetime
    id: UUID

    @classmethod
    def of(cls, request: Request) -> "Place":
        """Right behind `request`."""
        return cls(request.created_at, request.id)


EVERYTHING: Final = Wanted()


def by_id(conn: Connection, request_id: UUID) -> Request | None:
    """The request with this id, unless it was deleted."""
    found = (
        select(video_requests)
        .where(c.id == request_id, c.deleted_at.is_(None))
        .execution_options(query="request")
    )
    row = conn.execute(found).mappings().one_or_none()
    return None if row is None else as_request(row)


def of_user(
    conn: Connection,
    user_id: str,
    wanted: Wanted = EVERYTHING,
    *,
    limit: int = 20,
    offset: int = 0,
    after: Place | None = None,
) -> list[Request]:
    """A page of the user's requests. What lies before `offset` is counted through each time."""
    page = select_page(c.user_id == user_id, wanted, limit=limit, offset=offset, after=after)
    return _records(conn, page.execution_options(query="user_history"))


def of_guild(
    conn: Connection,
    guild_id: str,
    wanted: Wanted = EVERYTHING,
    *,
    limit: int = 20,
    offset: int = 0,
    after: Place | None = None,
) -> list[Request]:
    """A page of the guild's requests, whoever asked."""
    page = select_page(c.guild_id == guild_id, wanted, limit=limit, offset=offset, after=after)
    return _records(conn, page.execution_options(query="guild_history"))


def select_page(
    whose: ColumnElement[bool],
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    after: Place | None = None,
) -> Select[Any]:
    """The statement behind a page. The id decides between requests of one moment."""
    newest_first = (c.created_at.desc(), c.id.desc())
    # The way to a deep page leads through the index alone, by the ids: read as rows, 6,900 of one
    # user's requests take 20 ms, not 1.
    page = (
        select(c.id)
        .where(whose, *_conditions(wanted, after))
        .order_by(*newest_first)
        .limit(limit)
        .offset(offset)
        .subquery("page")
    )
    return select(video_requests).join(page, c.id == page.c.id).order_by(*newest_first)


def _conditions(wanted: Wanted, after: Place | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [
        c.deleted_at.is_(None),
        c.archived_at.is_not(None) if wanted.is_archived else c.archived_at.is_(None),
    ]
    if wanted.statuses:
        conditions.append(c.status.in_(wanted.statuses))
    if wanted.since:
        conditions.append(c.created_at >= wanted.since)
    if wanted.until:
        conditions.append(c.created_at < wanted.until)
    if after:
        # The first condition is the index's, the second is for requests of one moment.
        conditions.append(c.created_at <= after.created_at)
        conditions.append(tuple_(c.created_at, c.id) < (after.created_at, after.id))
    return conditions


def _records(conn: Connection, page: Select[Any]) -> list[Request]:
    return [as_request(found) for found in conn.execute(page).mappings()]
