"""What requests of one kind have taken of late, looked up once a minute, kind and process."""

import time
from typing import Final

from sqlalchemy import Connection

from db import progress
from db.records import Experience, Request

REMEMBER: Final = 60.0
"""Seconds for which experience counts as recent."""

_known: dict[tuple[str | None, int], tuple[float, Experience | None]] = {}


def with_such(conn: Connection, request: Request) -> Experience | None:
    """What is known of requests of its model and duration; None where that is too little."""
    kind = request.model, request.duration_seconds
    asked, found = _known.get(kind, (None, None))
    if asked is None or time.monotonic() - asked > REMEMBER:
        found = progress.experience(conn, *kind)
        _known[kind] = time.monotonic(), found
    return found
