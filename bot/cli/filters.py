"""Options of the commands that read: whose requests, of what time, and for whom to print."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def name_option(option: str, told: str) -> Callable[[F], F]:
    """An option for the id of a user or guild."""
    return click.option(option, metavar="ID", callback=_plain_text, help=told)


def range_options(command: F) -> F:
    """Add ``--since`` and ``--until``."""
    for option, told in (
        ("--until", "Only before this date or time (UTC)."),
        ("--since", "Only from this date or time on (UTC)."),
    ):
        command = click.option(option, metavar="DATE", callback=_moment, help=told)(command)
    return command


def json_option(command: F) -> F:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="For programs.")(command)


def check_range(since: datetime | None, until: datetime | None) -> None:
    """Raise UsageError for a range that nothing can lie in."""
    if since is not None and until is not None and since >= until:
        raise click.UsageError("--since must be before --until.")


def _moment(_ctx: click.Context, _option: click.Parameter, value: str | None) -> datetime | None:
    """A date, or a date and time; in UTC unless it says otherwise."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{value!r} is not a date like 2026-02-28 or 2026-02-28T13:30."
        ) from None


def _plain_text(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """What Postgres can be asked for."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty.")
    try:
        if value is None or "\0" not in value.encode().decode():
            return value
    except UnicodeEncodeError:
        pass
    raise click.BadParameter(f"{value!r} is not plain text.")
