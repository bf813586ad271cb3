"""``video-bot archive`` and ``delete``: what becomes of a request afterwards."""

from uuid import UUID

import click

from bot.cli.options import LOCAL


@click.command()
@click.argument("request_id", metavar="ID", type=click.UUID)
@click.option("--undo", is_flag=True, help="Take it out of the archive again.")
def archive(*, request_id: UUID, undo: bool) -> None:
    """Put the request with this ID away: "history --archived" lists it, and it can be undone."""
    from bot.cli.connection import connected
    from db import keeping

    with connected() as conn:
        if undo:
            keeping.restore(conn, request_id, by=LOCAL)
        else:
            keeping.archive(conn, request_id, by=LOCAL)
    click.echo(f"{request_id} is {'in the list again' if undo else 'archived'}.")


@click.command()
@click.argument("request_id", metavar="ID", type=click.UUID)
def delete(*, request_id: UUID) -> None:
    """Delete the request with this ID: "history" and "show" know it no more, nor does Discord.

    It still counts for limits, budgets and the statistics over everybody, and "events" has it.
    One that was not started yet never will be, and costs nothing. One that is being made goes on
    to its end, unseen.
    """
    from bot.cli.connection import connected
    from db import keeping
    from db.settings import read, require
    from db.states import Status
    from workers import cancelling, storage
    from workers.settings import WorkerSettings

    require(WorkerSettings)
    settings = read(WorkerSettings)
    with connected() as conn:
        request = cancelling.delete(
            conn,
            storage.load(settings),
            request_id,
            by=LOCAL,
            is_counted=settings.failed_requests_count,
        )
    if request.error_code == keeping.CANCELLED:
        click.echo(f"{request_id} is deleted. It was not started yet, and never will be.")
    elif request.status in (Status.PENDING, Status.GENERATING):
        click.echo(f"{request_id} is deleted. It is being made, and its end will not be shown.")
    else:
        click.echo(f"{request_id} is deleted.")
