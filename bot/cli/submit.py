"""``video-bot submit``: put a request on its way, as the Discord bot would."""

from typing import Any
from uuid import UUID

import click

from bot.cli.options import LOCAL, new_request, request_options


@click.command()
@request_options
@click.option("--user", default=LOCAL, show_default=True, help="Who asks.")
@click.option("--guild", default=LOCAL, show_default=True, help="In which server.")
@click.option("--channel", default=LOCAL, show_default=True, help="In which channel.")
@click.option("--id", "request_id", type=click.UUID, help="The request's id. [default: a new one]")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=10,
    show_default=True,
    help="Seconds to wait for a worker to take it on; 0 asks for nothing.",
)
def submit(prompt: str, request_id: UUID | None, wait: float, **asked: Any) -> None:
    """Ask a running system for a video of PROMPT, and print the request's id.

    The request is on its way when the id is printed. With a worker running, the command also
    tells whether the request was taken on: it ends with status 3 if a limit is reached.
    """
    new = new_request(prompt, request_id=request_id, **asked)

    from bot.cli.admission import check_limit, wait_for_row
    from db.engine import connect_at_startup
    from db.settings import DatabaseSettings, read, require
    from workers.chain import enqueue
    from workers.logs import configure
    from workers.settings import LogSettings, WorkerSettings

    require(DatabaseSettings, WorkerSettings, LogSettings)
    configure(read(LogSettings), level="warning")
    settings = read(WorkerSettings)
    database = connect_at_startup(read(DatabaseSettings))
    check_limit(database, new, settings)
    enqueue(new)
    click.echo(str(new.id))
    if wait and wait_for_row(database, new, settings, seconds=wait) is None:
        click.echo("It waits in the queue: no worker has taken it up yet.", err=True)
