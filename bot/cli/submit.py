"""``video-bot submit`` and ``remix``: put a request on its way, as the Discord bot would."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID, uuid4

import click

from bot.cli.errors import BAD_INPUT, CommandFailed
from bot.cli.numbers import Seconds
from bot.cli.options import LOCAL, new_request, request_options

if TYPE_CHECKING:
    from db.records import NewRequest, Request

F = TypeVar("F", bound=Callable[..., Any])

ANSWER_TIMEOUT: Final = timedelta(seconds=2)
"""For each answer of Postgres: a person waits, and it is asked four times."""

NOT_TAKEN_UP = "No worker has taken it up yet, or one with stricter limits has refused it."

KNOWN = "There is a request with this id already; it stands as it was, and no other is made."


def sending_options(command: F) -> F:
    """Add who asks where, the request's id, and how long to wait for a worker."""
    for add in (
        click.option(
            "--wait",
            type=Seconds(min=0),
            default=10,
            show_default=True,
            help="Seconds to wait for a worker to take it on; 0 asks for nothing.",
        ),
        click.option(
            "--id", "request_id", type=click.UUID, help="The request's id. [default: a new one]"
        ),
        click.option("--channel", default=LOCAL, show_default=True, help="In which channel."),
        click.option("--guild", default=LOCAL, show_default=True, help="In which server."),
        click.option("--user", default=LOCAL, show_default=True, help="Who asks."),
    ):
        command = add(command)
    return command


@click.command()
@request_options
@sending_options
def submit(prompt: str, request_id: UUID | None, wait: float, **asked: Any) -> None:
    """Ask a running system for a video of PROMPT, and print the request's id.

    The request is on its way when the id is printed. With a worker running, the command also
    tells whether the request was taken on: it ends with status 3 if a limit is reached.
    """
    send(new_request(prompt, request_id=request_id, **asked), wait)


@click.command()
@click.argument("source_id", metavar="ID", type=click.UUID)
@click.argument("prompt", required=False)
@sending_options
def remix(
    *,
    source_id: UUID,
    prompt: str | None,
    user: str,
    guild: str,
    channel: str,
    request_id: UUID | None,
    wait: float,
) -> None:
    """Ask for another video like that of ID, of the same prompt or of PROMPT; print the new id.

    Duration, aspect ratio, resolution, sound and negative prompt are those of ID, and so is the
    model if there still is such a one.
    """
    from bot.cli.connection import connected
    from db import history
    from db.errors import RequestNotFound
    from db.settings import read
    from db.validation import validate
    from workers import providers
    from workers.settings import WorkerSettings

    with connected() as conn:
        source = history.by_id(conn, source_id)
    if source is None:
        raise RequestNotFound(source_id)
    new = source.remixed(
        request_id or uuid4(),
        source.prompt if prompt is None else prompt,
        user_id=user,
        guild_id=guild,
        channel_id=channel,
        model=providers.kept_model(providers.load(read(WorkerSettings)), source),
    )
    validate(new)
    send(new, wait)


def send(new: "NewRequest", wait: float) -> None:
    """Put a valid request on its way and print its id; wait `wait` seconds for its row."""
    from bot.cli.admission import check_limit, priced, wait_for_row
    from db.engine import connect_at_startup
    from db.settings import DatabaseSettings, read, require
    from workers import providers, remedies
    from workers.chain import enqueue
    from workers.errors import BrokerUnavailable
    from workers.logs import configure
    from workers.settings import LogSettings, WorkerSettings

    require(DatabaseSettings, WorkerSettings, LogSettings)
    configure(read(LogSettings), level="warning")
    settings = read(WorkerSettings)
    new = priced(new, providers.load(settings))
    database = connect_at_startup(read(DatabaseSettings), answer_timeout=ANSWER_TIMEOUT)
    known = check_limit(database, new, settings)
    if known is not None:
        _check_same(known, new)
    try:
        enqueue(new)
    except BrokerUnavailable as error:
        reason = str(error).removesuffix(".")
        raise CommandFailed(
            f"{reason}. {remedies.of_redis(reason)}, and try again with --id {new.id}: "
            "should this one have arrived all the same, that asks for no second video"
        ) from None
    try:
        click.echo(str(new.id))
    except OSError as error:
        raise CommandFailed(
            f"The request is on its way, but its id cannot be printed ({error.strerror}): it is"
            f" {new.id}. Tried again with --id {new.id}, that asks for no second video"
        ) from None
    if known is not None:
        click.echo(KNOWN, err=True)
    elif wait and wait_for_row(database, new, settings, seconds=wait) is None:
        click.echo(NOT_TAKEN_UP, err=True)


def _check_same(known: "Request", new: "NewRequest") -> None:
    """Raise CommandFailed if the id is that of another request, which no video would come of."""
    if known.deleted_at is not None:
        what = "that was deleted"
    elif known.prompt != new.prompt:
        what = "with another prompt"
    else:
        return
    raise CommandFailed(
        f"There is a request {what} with this id already; take another id, or none.", BAD_INPUT
    )
