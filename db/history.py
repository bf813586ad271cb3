"""Reads of what was asked for and what became of it."""

from sqlalchemy import Connection, select

from db.records import Request
from db.requests import as_request
from db.tables import video_requests


def of_user(conn: Connection, user_id: str, *, limit: int, offset: int = 0) -> list[Request]:
    """The user's requests, newest first."""
    page = (
        select(video_requests)
        .where(video_requests.c.user_id == user_id)
        .order_by(video_requests.c.created_at.desc())
        .limit(limit)
        .offset(offset)
    )
    return [as_request(found) for found in conn.execute(page).mappings()]
