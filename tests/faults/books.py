"""Limits and budgets, held against the rows: nothing above what is allowed, nothing refused below.

What was taken on while Postgres was away was asked of no limit (DESIGN, 10), and is counted beside.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

from sqlalchemy import select, text

from db import budgets, quotas
from db.records import Request
from db.requests import as_request
from db.standing import Scope
from db.tables import budget_spending, request_remnants
from tests.faults.asking import Asked
from tests.faults.stage import Stage

OF_A_DAY: Final = "of the last 24 hours"
OF_A_MONTH: Final = "of this month"
BUDGET: Final = "This server's budget"
"""What a refusal names."""
_UNASKED: Final = "Rate limiting degraded"
"""What a log says of it; that of the bot does not say of which request."""


def complaints_of_the_books(stage: Stage, asked: Sequence[Asked]) -> Iterator[str]:
    """What is wrong with them."""
    users = {str(one.person.id) for one in asked}
    unasked = _unasked(stage)
    with stage.system.database.begin() as conn:
        # In the order in which they were written.
        wanted = text(
            "SELECT video_requests.* FROM video_requests JOIN video_events ON request_id = "
            "video_requests.id AND event_type = 'created' ORDER BY video_events.id"
        )
        rows = [as_request(row) for row in conn.execute(wanted).mappings()]
        counters = conn.execute(select(budget_spending)).all()
        remnants = conn.execute(select(request_remnants)).all()
        budget_of = {
            (each.scope, each.scope_id): each.limit_usd for each, _ in budgets.of_all(conn)
        }
        monthly = {user: found.monthly_limit for user in users if (found := quotas.get(conn, user))}
    assert not remnants, "nothing is deleted here"
    spent: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        spent[row.guild_id] += (row.cost_usd or Decimal(0)) if row.billed else 0
    for counter in counters:
        if counter.spent_usd != spent[counter.scope_id]:
            yield f"{counter.scope_id} has spent {spent[counter.scope_id]}, not {counter.spent_usd}"
    refused = _refused(asked)
    for guild in {row.guild_id for row in rows if row.user_id in users}:
        limit = budget_of.get((Scope.GUILD, guild))
        own = [row for row in rows if row.guild_id == guild]
        yield from _about_budget(guild, limit, own, spent[guild], unasked, refused)
    for user in users:
        own = [row for row in rows if row.user_id == user]
        limits = {OF_A_DAY: stage.daily_limit, OF_A_MONTH: monthly.get(user)}
        yield from _about_limits(user, own, limits, unasked, refused)


def _about_budget(
    guild: str,
    limit: Decimal | None,
    rows: Sequence[Request],
    spent: Decimal,
    unasked: set[UUID],
    refused: set[tuple[str, str]],
) -> Iterator[str]:
    if limit is None:
        return
    beside = sum((row.cost_usd or Decimal(0) for row in rows if row.id in unasked), Decimal(0))
    if spent > limit + beside:
        yield f"{guild} has spent {spent} of {limit}"
    prices = [row.cost_usd or Decimal(0) for row in rows]
    # What was given back since stood there when others were refused.
    if (guild, BUDGET) in refused and sum(prices) + max(prices, default=limit) <= limit:
        yield f"{guild} was refused what {limit} would have paid for"


def _about_limits(
    user: str,
    rows: Sequence[Request],
    limits: Mapping[str, int | None],
    unasked: set[UUID],
    refused: set[tuple[str, str]],
) -> Iterator[str]:
    for window, most in limits.items():
        if most is None:
            continue
        counted = 0
        for row in rows:
            if row.id not in unasked and counted >= most:
                yield f"{user} was admitted with {counted} requests {window} of {most}"
            counted += row.counted
        if (user, window) in refused and len(rows) < most:
            yield f"{user} was refused with {len(rows)} requests {window} of {most}"


def _refused(asked: Sequence[Asked]) -> set[tuple[str, str]]:
    """Who was refused for what: users for limits, and guilds for budgets."""
    found = set()
    for one in asked:
        said = one.answer.content
        guild = one.person.place.guild
        for window in (OF_A_DAY, OF_A_MONTH):
            if window in said and "used" in said:
                found.add((str(one.person.id), window))
        if BUDGET in said and guild is not None:
            found.add((str(guild.id), BUDGET))
    return found


def _unasked(stage: Stage) -> set[UUID]:
    """What went on while no limit could be asked, by the logs."""
    return {
        UUID(json.loads(line)["request_id"])
        for process in stage.system.processes
        for line in process.log.splitlines()
        if _UNASKED in line and "request_id" in line
    }
