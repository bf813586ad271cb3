"""What is made of a request's end: a transition, or what is known of it without Postgres."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy import Connection

from db import requests
from db.meanwhile import Meanwhile
from db.records import Request
from db.states import Status
from workers.ends import End


def write(conn: Connection, request: Request, end: End) -> Request:
    """Make the transition; the row after it. Raises what transitions raise."""
    match end.status, request.status:
        case Status.COMPLETED, _:
            return requests.complete(conn, request.id, end.video_urls or ())
        case Status.TIMEOUT, Status.PENDING:
            return requests.give_up_search(conn, request.id, message=end.message or "")
        case Status.TIMEOUT, _:
            return requests.time_out(conn, request.id, message=end.message or "")
    return requests.fail(
        conn,
        request.id,
        code=end.code or "",
        message=end.message or "",
        is_billed=end.is_billed,
        is_counted=end.is_counted,
    )


def seen(known: Meanwhile, end: End) -> Meanwhile:
    """What is known of a request that has ended now, and cannot be written."""
    now = datetime.now(UTC)
    return replace(
        known,
        status=end.status,
        started_at=known.started_at or known.claimed_at or now,
        completed_at=now,
        video_urls=end.video_urls,
        error_code=end.code,
        error_message=end.message,
        billed=end.is_billed,
        counted=end.is_counted,
        attempts=0,
        # Whoever comes with the same message again is the same one; another is not.
        answer_claim=uuid4(),
    )
