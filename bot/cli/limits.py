"""``video-bot limits``: how users stand, what administrators allow, and budgets."""

from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import click

from bot.cli.connection import connected
from bot.cli.errors import BAD_INPUT, CommandFailed
from bot.cli.filters import json_option
from bot.cli.options import LOCAL

if TYPE_CHECKING:
    from db.standing import Scope, Spending, Standing, UserQuota

MOST: Final = 1_000_000
"""Requests."""
MOST_USD: Final = Decimal("99999999.9999")


@click.group()
def limits() -> None:
    """Limits of users, and budgets: see them and set them."""


@limits.command()
@click.argument("user")
@click.option("--guild", default=LOCAL, show_default=True, help="In which server.")
@json_option
def show(user: str, guild: str, *, as_json: bool) -> None:
    """Show how USER stands with every limit and budget."""
    from bot import words
    from db import limits as standings
    from db import quotas
    from db.settings import read, require
    from workers.settings import WorkerSettings

    _check_names(user=user, guild=guild)
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
        _print_json(
            user_id=user,
            guild_id=guild,
            daily={
                "used": standing.daily.used,
                "limit": standing.daily.limit,
                "remaining": standing.daily.remaining,
                "reset_at": standing.daily.reset_at,
                "is_own": own is not None and own.daily_limit is not None,
            },
            monthly={
                "used": standing.monthly.used,
                "limit": standing.monthly.limit,
                "remaining": standing.monthly.remaining,
                "reset_at": standing.monthly.reset_at,
                "is_own": own is not None and own.monthly_limit is not None,
            },
            budgets=[_spending(each) for each in standing.budgets],
            warnings=warnings,
        )
        return
    for line in _lines(standing, own):
        click.echo(line)
    for warning in warnings:
        click.echo(f"Warning: {warning}")


@limits.command("set")
@click.argument("user")
@click.option("--daily", type=click.IntRange(0, MOST), help="Requests in any 24 hours.")
@click.option("--monthly", type=click.IntRange(0, MOST), help="Requests in a calendar month (UTC).")
def set_(user: str, daily: int | None, monthly: int | None) -> None:
    """Allow USER so many requests, whatever everybody is allowed; 0 allows none."""
    from db import quotas

    _check_names(user=user)
    if daily is None and monthly is None:
        raise CommandFailed("Say --daily, --monthly or both.", BAD_INPUT)
    with connected() as conn:
        own = quotas.set_limits(conn, user, daily=daily, monthly=monthly)
    click.echo(f"{user}: {_own(own.daily_limit)} in 24 hours, {_own(own.monthly_limit)} in a month")


@limits.command()
@click.argument("user")
def reset(user: str) -> None:
    """Allow USER what everybody is allowed."""
    from db import quotas

    _check_names(user=user)
    with connected() as conn:
        was_set = quotas.reset(conn, user)
    click.echo(f"{user} is allowed what everybody is{'' if was_set else ', as before'}")


@limits.command()
@json_option
def budgets(*, as_json: bool) -> None:
    """List the budgets, with what is spent of each in its day or month."""
    from bot import words
    from db import budgets as all_budgets

    with connected() as conn:
        found = all_budgets.of_all(conn)
    if as_json:
        _print_json(
            [
                {
                    "scope": budget.scope,
                    "scope_id": budget.scope_id,
                    "period": budget.period,
                    "limit_usd": budget.limit_usd,
                    "spent_usd": spent_usd,
                }
                for budget, spent_usd in found
            ]
        )
        return
    for budget, spent_usd in found:
        spent = "" if spent_usd is None else f", {words.dollars(spent_usd)} spent"
        whose = _whose(budget.scope, budget.scope_id)
        click.echo(f"{whose}: {words.dollars(budget.limit_usd)} a {budget.period}{spent}")
    if not found:
        click.echo("No budget is set.")


@limits.command()
@click.option("--user", help="For this user.")
@click.option("--guild", help="For this server.")
@click.option("--every-user", is_flag=True, help="For each user without a budget of their own.")
@click.option("--every-guild", is_flag=True, help="For each server without a budget of its own.")
@click.option("--all", "everybody", is_flag=True, help="For all together.")
@click.option("--per", type=click.Choice(["day", "month"]), required=True, help="In UTC.")
@click.argument("amount")
def budget(
    user: str | None,
    guild: str | None,
    per: str,
    amount: str,
    *,
    every_user: bool,
    every_guild: bool,
    everybody: bool,
) -> None:
    """Let no more than AMOUNT dollars be spent per day or month; with "none", bound it no longer.

    What was spent before counts. Exactly one of the options says whose money it is.
    """
    from bot import words
    from db import budgets as all_budgets
    from db.standing import Budget, Period, Scope

    chosen = [
        (Scope.USER, user),
        (Scope.GUILD, guild),
        (Scope.USER, all_budgets.EVERY if every_user else None),
        (Scope.GUILD, all_budgets.EVERY if every_guild else None),
        (Scope.ALL, "" if everybody else None),
    ]
    given = [(scope, name) for scope, name in chosen if name is not None]
    if len(given) != 1:
        raise CommandFailed(
            "Say whose budget: one of --user, --guild, --every-user, --every-guild, --all.",
            BAD_INPUT,
        )
    [(scope, scope_id)] = given
    for what, name in (("user", user), ("guild", guild)):
        if name is not None:
            _check_names(**{what: name})
            if name == all_budgets.EVERY:
                raise CommandFailed(f"For every {what}, say --every-{what}.", BAD_INPUT)
    limit_usd = _amount(amount)
    period, whose = Period(per), _whose(scope, scope_id)
    with connected() as conn:
        if limit_usd is not None:
            all_budgets.set_limit(conn, Budget(scope, scope_id, period, limit_usd))
            now = f"{words.dollars(limit_usd)} a {period}"
        elif all_budgets.remove(conn, scope, scope_id, period):
            now = f"no budget a {period}"
        else:
            now = f"no budget a {period}, as before"
    click.echo(f"{whose}: {now}")


def _check_names(**names: str) -> None:
    from db.validation import validate_name

    for what, name in names.items():
        validate_name(what, name)


def _amount(written: str) -> Decimal | None:
    """Dollars, or None for ``none``."""
    if written == "none":
        return None
    try:
        amount = Decimal(written.removeprefix("$"))
        is_right = amount.is_finite() and 0 <= amount <= MOST_USD
        is_right = is_right and amount == amount.quantize(Decimal("0.0001"))
    except InvalidOperation:
        is_right = False
    if not is_right:
        raise CommandFailed(
            "The amount must be dollars, like 20 or 3.20, with at most four decimals and no more "
            f'than {MOST_USD:,}; or "none".',
            BAD_INPUT,
        )
    return amount


def _lines(standing: "Standing", own: "UserQuota | None") -> Iterator[str]:
    from bot import words

    daily, monthly = standing.daily, standing.monthly
    resets = f", {daily.resets_in}" if daily.reset_at else ""
    is_own = " (set for this user)"
    yield (
        f"24 hours:  {daily.used} of {daily.limit} used, {daily.remaining} left{resets}"
        f"{is_own if own and own.daily_limit is not None else ''}"
    )
    yield (
        f"month:     {monthly.used} of {monthly.limit} used, {monthly.remaining} left, "
        f"until {monthly.reset_at:%Y-%m-%d} UTC"
        f"{is_own if own and own.monthly_limit is not None else ''}"
    )
    for each in standing.budgets:
        yield (
            f"budget:    {each.scope}, {each.period}: {words.dollars(each.spent_usd)} of "
            f"{words.dollars(each.limit_usd)} spent, {words.dollars(each.remaining_usd)} left"
        )


def _own(limit: int | None) -> str:
    return "as many as everybody" if limit is None else str(limit)


def _whose(scope: "Scope", scope_id: str) -> str:
    each = {"user": "every user", "guild": "every guild"}
    if not scope_id:
        return "all together"
    return each[scope] if scope_id == "*" else f"{scope} {scope_id}"


def _spending(spending: "Spending") -> dict[str, object]:
    return {
        "scope": spending.scope,
        "period": spending.period,
        "spent_usd": spending.spent_usd,
        "limit_usd": spending.limit_usd,
        "remaining_usd": spending.remaining_usd,
        "reset_at": spending.reset_at,
    }


def _print_json(value: object = None, **fields: object) -> None:
    from bot.plain import as_json

    click.echo(as_json(fields or value))
