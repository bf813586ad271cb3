"""``video-bot limits budgets`` and ``budget``: how much may be spent."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

import click

from bot.cli.connection import connected
from bot.cli.errors import BAD_INPUT, CommandFailed
from bot.cli.filters import json_option
from bot.cli.options import check_names

if TYPE_CHECKING:
    from db.standing import Scope

MOST_USD: Final = Decimal("99999999.9999")


@click.command()
@json_option
def budgets(*, as_json: bool) -> None:
    """List the budgets, with what is spent of each in its day or month."""
    from bot import words
    from bot.plain import as_json as json_of
    from db import budgets as all_budgets

    with connected() as conn:
        found = all_budgets.of_all(conn)
    if as_json:
        told = [
            {
                "scope": budget.scope,
                "scope_id": budget.scope_id,
                "period": budget.period,
                "limit_usd": budget.limit_usd,
                "spent_usd": spent_usd,
            }
            for budget, spent_usd in found
        ]
        click.echo(json_of(told))
        return
    for budget, spent_usd in found:
        spent = "" if spent_usd is None else f", {words.dollars(spent_usd)} spent"
        whose = _whose(budget.scope, budget.scope_id)
        click.echo(f"{whose}: {words.dollars(budget.limit_usd)} a {budget.period}{spent}")
    if not found:
        click.echo("No budget is set.")


@click.command()
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
        told = f", not {len(given)} of them" if given else ""
        raise CommandFailed(
            f"Say whose budget: one of --user, --guild, --every-user, --every-guild, --all{told}.",
            BAD_INPUT,
        )
    [(scope, scope_id)] = given
    for what, name in (("user", user), ("guild", guild)):
        if name is not None:
            check_names(**{what: name})
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


def _whose(scope: "Scope", scope_id: str) -> str:
    each = {"user": "every user", "guild": "every guild"}
    if not scope_id:
        return "all together"
    return each[scope] if scope_id == "*" else f"{scope} {scope_id}"
