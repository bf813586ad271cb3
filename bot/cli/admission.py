"""How the command line learns whether a request was taken on: from the row, or from the limits."""

import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from bot import words
from bot.cli.errors import REFUSED, CommandFailed
from db import limits, requests
from db.engine import Database
from db.records import NewRequest, Request
from workers.providers import Provider
from workers.settings import WorkerSettings

LOOK_EVERY: Final = 0.1
"""Seconds."""


def priced(new: NewRequest, provider: Provider) -> NewRequest:
    """A valid request with its price. Raises InvalidRequest for what its model cannot do."""
    provider.check(new)
    return replace(new, cost_usd=provider.price(new))


def check_limit(database: Database, new: NewRequest, settings: WorkerSettings) -> Request | None:
    """The request that has the id already, if one has; the new one comes with its price.

    Raises CommandFailed with the refusal if a limit or budget is reached and none has.
    """
    with database.autocommit() as conn:
        standing = limits.get_standing(
            conn,
            new.user_id,
            new.guild_id,
            daily_limit=settings.daily_limit,
            monthly_quota=settings.monthly_quota,
        )
        refused_by = standing.refusing(new.cost_usd or Decimal(0))
        # In this order: the request that took the last place may be this one.
        known = requests.get(conn, new.id)
    if refused_by is None or known is not None:
        return known
    raise CommandFailed(words.refusal(refused_by, new.cost_usd), REFUSED)


def wait_for_row(
    database: Database,
    new: NewRequest,
    settings: WorkerSettings,
    *,
    seconds: float,
    check: Callable[[], None] = lambda: None,
) -> Request | None:
    """The row of an enqueued request; None if no worker has taken it up within `seconds`.

    Raises CommandFailed when others took the last place or the last money meanwhile. `check` is
    called at every look, and may raise.
    """
    deadline = time.monotonic() + seconds
    while True:
        with database.autocommit() as conn:
            found = requests.get(conn, new.id)
        if found is not None:
            return found
        check_limit(database, new, settings)
        check()
        if time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_EVERY)
