"""``video-bot limits``: how users stand, what administrators allow, and budgets."""

from typing import Final

import click

from bot.cli.budgets import budget, budgets
from bot.cli.connection import connected
from bot.cli.errors import BAD_INPUT, CommandFailed
from bot.cli.numbers import Whole
from bot.cli.options import check_names
from bot.cli.standing import show

MOST: Final = 1_000_000
"""Requests."""


@click.group()
def limits() -> None:
    """Limits of users, and budgets: see them and set them."""


for command in (show, budgets, budget):
    limits.add_command(command)


@limits.command("set")
@click.argument("user")
@click.option("--daily", type=Whole(0, MOST), help="Requests in any 24 hours.")
@click.option("--monthly", type=Whole(0, MOST), help="Requests in a calendar month (UTC).")
def set_(user: str, daily: int | None, monthly: int | None) -> None:
    """Allow USER so many requests, whatever everybody is allowed; 0 allows none."""
    from db import quotas

    check_names(user=user)
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

    check_names(user=user)
    with connected() as conn:
        was_set = quotas.reset(conn, user)
    click.echo(f"{user} is allowed what everybody is{'' if was_set else ', as before'}")


def _own(limit: int | None) -> str:
    return "as many as everybody" if limit is None else str(limit)
