"""``video-bot cleanup``: delete old requests here and now, or see what would go."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import click

from bot.cli.connection import connected
from bot.cli.errors import BAD_INPUT, FAILED, CommandFailed
from bot.cli.filters import json_option
from bot.cli.numbers import Whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from db.retention import Old
    from workers.retention import Run
    from workers.settings import WorkerSettings

REPORT: Final = timedelta(seconds=35)
"""How long counting may take; the server's own time-out of 30 s comes first."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only tell what would be deleted.")
@click.option(
    "--older-than",
    type=Whole(1, 36_500),
    metavar="DAYS",
    help="Keep what is younger. [default: REQUEST_RETENTION_DAYS]",
)
@json_option
def cleanup(*, dry_run: bool, older_than: int | None, as_json: bool) -> None:
    """Delete requests that have ended and are old, with their events and videos.

    Beat does the same every day, where REQUEST_RETENTION_DAYS is set. What is being made is never
    touched, and what limits and budgets still count of a deleted request stays until they do not.
    Status 1 says that a request stayed, for its videos could not be removed.
    """
    from bot.plain import as_json as json_of
    from db import retention
    from db.settings import read, require
    from workers.settings import WorkerSettings

    require(WorkerSettings)
    settings = read(WorkerSettings)
    age = settings.retention if older_than is None else timedelta(days=older_than)
    if age is None:
        raise CommandFailed("Set REQUEST_RETENTION_DAYS, or say --older-than DAYS.", BAD_INPUT)
    with connected(answer_timeout=REPORT) as conn:
        cutoff = retention.cutoff(conn, age)
        found = retention.survey(conn, cutoff)
    if dry_run:
        _tell_plan(cutoff, found, as_json=as_json)
        return
    done = _clean(settings, cutoff, sum(each.requests for each in found))
    if as_json:
        click.echo(
            json_of({"cutoff": done.cutoff, "deleted": done.deleted, "kept": done.kept}),
        )
    else:
        click.echo(f"Deleted {_requests(done.deleted)} from before {_moment(done.cutoff)}.")
        if done.kept:
            click.echo(f"{_requests(done.kept)} stayed: the videos could not be removed.", err=True)
    click.get_current_context().exit(FAILED if done.kept else 0)


def _clean(settings: "WorkerSettings", cutoff: datetime, expected: int) -> "Run":
    """A whole run, its progress on stderr."""
    from rich.console import Console
    from rich.progress import Progress

    from db.engine import Database
    from db.settings import DatabaseSettings, read
    from workers import retention, storage

    with (
        closing(Database(read(DatabaseSettings))) as database,
        Progress(console=Console(stderr=True), transient=True) as progress,
    ):
        bar = progress.add_task("deleting", total=expected)
        done = retention.clean(
            database,
            storage.load(settings),
            retention.Run(cutoff, datetime.now(UTC)),
            tell=lambda run: progress.update(bar, completed=run.deleted + run.kept),
        )
    if done is None:
        raise CommandFailed("Another cleanup is at it.")
    return done


def _tell_plan(cutoff: datetime, found: "Sequence[Old]", *, as_json: bool) -> None:
    from bot.cli import tables
    from bot.plain import as_json as json_of

    if as_json:
        click.echo(json_of({"cutoff": cutoff, "would_delete": found}))
        return
    number = sum(each.requests for each in found)
    click.echo(f"Would delete {_requests(number)} from before {_moment(cutoff)}.")
    if not found:
        return
    columns = ("status", "requests", "videos", "oldest (UTC)", "newest (UTC)")
    table = tables.plain_table(*columns, numbers=("requests", "videos"))
    for each in found:
        oldest, newest = tables.minute(each.oldest_at), tables.minute(each.newest_at)
        table.add_row(each.status, f"{each.requests:,}", f"{each.outputs:,}", oldest, newest)
    tables.console().print(table)


def _requests(number: int) -> str:
    return f"{number:,} {'request' if number == 1 else 'requests'}"


def _moment(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M UTC}"
