"""``video-bot limits show``: how a user stands."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bot.cli.connection import connected
from bot.cli.filters import json_option
from bot.cli.options import LOCAL, check_names

if TYPE_CHECKING:
    from db.standing import MonthlyQuota, RateLimit, Spending, Standing, UserQuota


@click.command()
@click.argument("user")
@click.option("--guild", default=LOCAL, show_default=True, help="In which server.")
@json_option
def show(user: str, guild: str, *, as_json: bool) -> None:
    """Show how USER stands with every limit and budget."""
    from bot import words
    from bot.plain import as_json as json_of
    from db import limits as standings
    from db import quotas
    from db.settings import read, require
    from workers.settings import WorkerSettings

    check_names(user=user, guild=guild)
    require(WorkerSettings)
    settings = read(WorkerSettings)
    with connected() as conn:
        standing = standings.get_standing(
            conn,
            user,
            guild,
            daily_limit=settings.daily_limit,
            monthly_quota=settings.monthly_quota,
        )
        own = quotas.get(conn, user)
    warnings = words.warnings(standing)
    if as_json:
        told = {
            "user_id": user,
            "guild_id": guild,
            "daily": _limit(standing.daily, is_own=bool(own and own.daily_limit is not None)),
            "monthly": _limit(standing.monthly, is_own=bool(own and own.monthly_limit is not None)),
            "budgets": [_spending(each) for each in standing.budgets],
            "warnings": warnings,
        }
        click.echo(json_of(told))
        return
    for line in _lines(standing, own):
        click.echo(line)
    for warning in warnings:
        click.echo(f"Warning: {warning}")


def _lines(standing: "Standing", own: "UserQuota | None") -> Iterator[str]:
    from bot import words

    daily, monthly = standing.daily, standing.monthly
    resets = f", {daily.resets_in}" if daily.limit and daily.reset_at else ""
    is_own = " (set for this user)"
    yield (
        f"24 hours:  {words.used(daily)}{resets}"
        f"{is_own if own and own.daily_limit is not None else ''}"
    )
    yield (
        f"month:     {words.used(monthly)}, until {monthly.reset_at:%Y-%m-%d} UTC"
        f"{is_own if own and own.monthly_limit is not None else ''}"
    )
    for each in standing.budgets:
        yield (
            f"budget:    {each.scope}, {each.period}: {words.dollars(each.spent_usd)} of "
            f"{words.dollars(each.limit_usd)} spent, {words.dollars(each.remaining_usd)} left"
        )


def _limit(limit: "RateLimit | MonthlyQuota", *, is_own: bool) -> dict[str, object]:
    return {
        "used": limit.used,
        "limit": limit.limit,
        "remaining": limit.remaining,
        "reset_at": limit.reset_at,
        "is_own": is_own,
    }


def _spending(spending: "Spending") -> dict[str, object]:
    return {
        "scope": spending.scope,
        "period": spending.period,
        "spent_usd": spending.spent_usd,
        "limit_usd": spending.limit_usd,
        "remaining_usd": spending.remaining_usd,
        "reset_at": spending.reset_at,
    }
