"""``video-bot stats``: figures over many requests."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal, get_args

import click

from bot.cli.connection import connected
from bot.cli.filters import check_range, json_option, name_option, range_options
from bot.cli.numbers import Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.figures import LimitReached

By = Literal["day", "week", "month"]

LIMIT: Final = 5
RECENT: Final = timedelta(hours=24)
"""What is asked of everybody unless something else is asked for (QH3)."""
REPORT: Final = timedelta(seconds=35)
"""How long a report may take; the server's own time-out of 30 s comes first."""


@click.command()
@name_option("--user", "Those of one user, of all time.")
@name_option("--guild", "Those of one server, by day, week or month.")
@click.option(
    "--by",
    type=click.Choice(get_args(By)),
    help="With --guild: the last 30 days, 12 weeks or 12 months. [default: day]",
)
@click.option(
    "--limits",
    type=Whole(1, 1_000_000),
    is_flag=False,
    flag_value=LIMIT,
    metavar="[N]",
    help="Who asked for N or more within 24 hours. [default: 5]",
)
@range_options
@click.option("--all-time", is_flag=True, help="All there is.")
@json_option
def stats(
    *,
    user: str | None,
    guild: str | None,
    by: By | None,
    limits: int | None,
    since: datetime | None,
    until: datetime | None,
    all_time: bool,
    as_json: bool,
) -> None:
    """Count requests, how they ended, how long they took and what they cost.

    Unless something else is asked for: of everybody, in the last 24 hours. Times are UTC.
    """
    if sum(each is not None for each in (user, guild, limits)) > 1:
        raise click.UsageError("--user, --guild and --limits exclude each other.")
    if by is not None and guild is None:
        raise click.UsageError("--by goes with --guild.")
    if all_time and (since or until):
        raise click.UsageError("--all-time goes with neither --since nor --until.")
    check_range(since, until)
    if since is None and user is None and not all_time:
        since = default_start(until or datetime.now(UTC), None if guild is None else by or "day")

    from bot.cli import figures
    from bot.plain import as_json as json_of
    from bot.plain import plain
    from db import statistics
    from db.figures import Figures

    found: Figures | Sequence[LimitReached]
    with connected(answer_timeout=REPORT) as conn:
        if user is not None:
            found = statistics.of_user(conn, user, since=since, until=until)
        elif guild is not None:
            found = statistics.of_guild(conn, guild, by=by or "day", since=since, until=until)
        elif limits is not None:
            found = statistics.who_reached_limit(conn, limits, since=since, until=until)
        else:
            found = statistics.of_all(conn, since=since, until=until)
    if as_json:
        bounds = {"since": since, "until": until}
        if isinstance(found, Figures):
            click.echo(json_of({**bounds, **plain(found)}))
        else:
            click.echo(json_of({**bounds, "limit": limits, "users": found}))
        return
    figures.show(found, since, until)


def default_start(end: datetime, by: By | None) -> datetime:
    """When the last 24 hours began; for a guild, the last 30 days, 12 weeks or 12 months."""
    try:
        return end - RECENT if by is None else _first_of_last(by, end)
    except (OverflowError, ValueError):
        # Before the first day there is.
        return datetime.min.replace(tzinfo=UTC)


def _first_of_last(by: By, end: datetime) -> datetime:
    """Whole ones, `end`'s own among them."""
    today = (end - timedelta(microseconds=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    match by:
        case "day":
            return today - timedelta(days=29)
        case "week":
            return today - timedelta(days=today.weekday(), weeks=11)
        case "month":
            year, month = divmod(12 * today.year + today.month - 1 - 11, 12)
            return today.replace(year=year, month=month + 1, day=1)
