"""``video-bot db``: the migrations."""

import sys

import click

from bot.cli.errors import CommandFailed
from bot.cli.numbers import Whole


@click.group()
def db() -> None:
    """Migrate the database of DATABASE_URL, and see how it stands."""


@db.command()
def migrate() -> None:
    """Apply every pending migration, in order. Safe to run at every deployment."""
    from db import migrate as migrations
    from db.settings import DatabaseSettings, read

    migrations.migrate(read(DatabaseSettings).url, click.echo)


@db.command()
@click.option("--to", type=Whole(min=0), default=0, help="Keep migrations up to this one.")
def rollback(to: int) -> None:
    """Undo migrations, the newest first: all of them, or down to --to.

    What the undone migrations had added is lost, rows included; on a terminal it asks first.
    """
    from db import migrate as migrations
    from db.settings import DatabaseSettings, read

    last = len(migrations.migrations())
    if to > last:
        raise click.BadParameter(
            f"there is no migration {to}; they go from 0 (none) to {last}.", param_hint="'--to'"
        )
    url = read(DatabaseSettings).url
    if sys.stdin.isatty():
        what = f"every migration after {to:03d}" if to else "all migrations, and every row"
        where = url.host or url.query.get("host", "this machine")
        if not click.confirm(f"Undo {what} in {url.database} on {where}?"):
            raise CommandFailed("Nothing was undone")
    migrations.rollback(url, to=to, write=click.echo)


@db.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(as_json: bool) -> None:
    """Show which migrations are applied and pending, and which tables are missing."""
    import json
    from dataclasses import asdict

    from db import migrate as migrations
    from db.settings import DatabaseSettings, read

    found = migrations.status(read(DatabaseSettings).url)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    click.echo(f"PostgreSQL {found.server_version}")
    for name in found.applied:
        click.echo(f"applied  {name}")
    for name in found.pending:
        click.echo(f"pending  {name}")
    for table in found.missing_tables:
        click.echo(f"missing  table {table}")
