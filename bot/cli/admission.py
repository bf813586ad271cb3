"""How the command line learns whether a request was taken on: from the row, or from the limit."""

import time
from collections.abc import Callable
from typing import Final

from bot import words
from bot.cli.errors import REFUSED, CommandFailed
from db import limits, requests
from db.engine import Database
from db.records import NewRequest, Request

LOOK_EVERY: Final = 0.1
"""Seconds."""


def check_limit(database: Database, new: NewRequest, daily_limit: int) -> None:
    """Raise CommandFailed with the refusal if the user's limit is reached and the id is new."""
    with database.autocommit() as conn:
        limit = limits.get_rate_limit_info(conn, new.user_id, daily_limit)
        # In this order: the request that took the last place may be this one.
        if limit.remaining or requests.get(conn, new.id) is not None:
            return
    raise CommandFailed(words.refusal(limit), REFUSED)


def wait_for_row(
    database: Database,
    new: NewRequest,
    daily_limit: int,
    *,
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> Request | None:
    """The row of an enqueued request; None if no worker has taken it up within `seconds`.

    Raises CommandFailed when others took the last place of the limit meanwhile. `check` is
    called at every look, and may raise.
    """
    deadline = time.monotonic() + seconds
    while True:
        with database.autocommit() as conn:
            found = requests.get(conn, new.id)
        if found is not None:
            return found
        check_limit(database, new, daily_limit)
        check()
        if time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_EVERY)
