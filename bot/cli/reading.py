"""``video-bot history``, ``show`` and ``events``: requests, and what happened to them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import click

from bot.cli.connection import connected
from bot.cli.filters import check_range, json_option, name_option, range_options
from bot.cli.numbers import Whole
from bot.cli.options import LOCAL
from db.states import Status

EVENTS: Final = 50
"""How many of a user's are shown."""


@click.command()
@name_option("--user", f"Whose requests. [default: {LOCAL}]")
@name_option("--guild", "Those of a server instead, whoever asked.")
@click.option(
    "--status",
    "statuses",
    type=click.Choice([status.value for status in Status]),
    multiple=True,
    help="Only in this state; may be given several times.",
)
@range_options
@click.option("--archived", is_flag=True, help="Only what was archived, which is not shown else.")
@click.option(
    "--limit",
    type=Whole(1, 10_000),
    default=20,
    show_default=True,
    help="How many at most.",
)
@click.option(
    "--offset",
    type=Whole(0, 1_000_000_000),
    default=0,
    show_default=True,
    help="How many of the newest to pass over.",
)
@json_option
def history(
    *,
    user: str | None,
    guild: str | None,
    statuses: Sequence[str],
    since: datetime | None,
    until: datetime | None,
    limit: int,
    offset: int,
    archived: bool,
    as_json: bool,
) -> None:
    """List the requests of a user or of a server, the newest first."""
    if user is not None and guild is not None:
        raise click.UsageError("--user and --guild exclude each other.")
    check_range(since, until)

    from bot.cli import tables
    from bot.plain import as_json as json_of
    from db.history import Wanted, of_guild, of_user

    wanted = Wanted([Status(each) for each in statuses], since, until, is_archived=archived)
    with connected() as conn:
        if guild is None:
            found = of_user(conn, user or LOCAL, wanted, limit=limit, offset=offset)
        else:
            found = of_guild(conn, guild, wanted, limit=limit, offset=offset)
    if as_json:
        click.echo(json_of(found))
    elif not found:
        click.echo("There are no such requests.")
    else:
        columns = {
            "id": tables.ID,
            **({} if guild is None else {"user": tables.USER}),
            "asked (UTC)": tables.ASKED,
            "status": tables.STATUS,
            "took": tables.TOOK,
            "prompt": tables.PROMPT,
        }
        tables.console().print(tables.requests_table(found, columns))


@click.command()
@click.argument("request_id", metavar="ID", type=click.UUID)
@json_option
def show(*, request_id: UUID, as_json: bool) -> None:
    """Show everything that is kept of the request with this ID, and a link to its video.

    The link works for a day where the videos are in Cloud Storage. Whoever has it sees the video.
    """
    from bot.cli import tables
    from bot.cli.links import link_of
    from bot.plain import as_json as json_of
    from bot.plain import plain
    from db import history, pacing
    from db.errors import RequestNotFound

    with connected() as conn:
        request = history.by_id(conn, request_id)
        place = pacing.place(conn, request_id)
    if request is None:
        raise RequestNotFound(request_id)
    link = link_of(request)
    if as_json:
        click.echo(json_of({**plain(request), "place": place, "link": link}))
        return
    tables.console().print(tables.row_table(request, place=place))
    if link is not None:
        # In one piece, however narrow the terminal is.
        click.echo(f"\nThe video can be seen at\n{link}")


@click.command()
@click.argument("request_id", metavar="[ID]", type=click.UUID, required=False)
@name_option("--user", "What happened last to all requests of this user, the newest first.")
@click.option(
    "--limit",
    type=Whole(1, 10_000),
    help="With --user: how many at most. [default: 50]",
)
@json_option
def events(*, request_id: UUID | None, user: str | None, limit: int | None, as_json: bool) -> None:
    """Show what happened to the request with this ID, in order, or to the requests of a user."""
    if (request_id is None) == (user is None):
        both = ", not both" if user is not None else ""
        raise click.UsageError(f"Give the ID of a request, or --user{both}.")
    if request_id is not None and limit is not None:
        raise click.UsageError("--limit goes with --user; of one request everything is shown.")

    from bot.cli import tables
    from bot.plain import as_json as json_of
    from db import events as log
    from db import requests
    from db.errors import RequestNotFound

    with connected() as conn:
        if request_id is None:
            found, request = log.of_user(conn, user or LOCAL, limit=limit or EVENTS), None
        else:
            # Also of one that was deleted: an operator can see that it was.
            request = requests.get(conn, request_id)
            if request is None:
                raise RequestNotFound(request_id)
            found = log.of_request(conn, request_id)
    if as_json:
        click.echo(json_of(found))
    elif not found:
        click.echo("Nothing was written down.")
    elif request is None:
        tables.console().print(tables.user_events_table(found))
    else:
        tables.console().print(tables.events_table(request, found))
