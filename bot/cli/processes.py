"""The long-running processes, each to be started by hand, by ``up`` or by a platform."""

import os
import socket
from typing import TYPE_CHECKING

import click

from bot.cli.errors import CommandFailed
from bot.cli.listening import listener
from bot.cli.numbers import Whole

if TYPE_CHECKING:
    from db.settings import Settings


@click.command()
@click.option(
    "--concurrency",
    type=Whole(min=1),
    # They wait more than they compute: for Postgres' disk, the storage, the provider, Discord.
    default=lambda: 2 * (os.cpu_count() or 1),
    show_default="two per core",
    help="Tasks that run at once, each in a process of its own.",
)
def worker(concurrency: int) -> None:
    """Run a worker: it makes the videos and follows them to their end.

    Start as many as you like, on as many machines. SIGTERM or Ctrl-C lets running tasks end.
    """
    _prepare()

    from celery.worker import state

    from workers.app import app
    from workers.leaving import Worker

    # Not by Celery's command line, which loads Flower and a shell first: a third of the start.
    process = Worker(
        app,
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        concurrency=concurrency,
        quiet=True,
        # Workers share nothing but the broker and the database, so they need not know each other.
        without_gossip=True,
        without_mingle=True,
    )
    process.start()
    # What Celery could not go on with it has logged; whoever watches us is to start another. An
    # end that was asked for is none of that, though Celery gives Ctrl-C the same code.
    was_asked = (state.should_stop, state.should_terminate) != (None, None)
    click.get_current_context().exit(0 if was_asked else process.exitcode or 0)


@click.command()
def beat() -> None:
    """Run beat: it sends the periodic tasks. One is enough, and a second does no harm."""
    _prepare()

    # Beat asks for this when it starts and again when it is told to stop: if that falls into the
    # start, it would find half of it.
    import celery.app.amqp  # noqa: F401

    from workers.app import app
    from workers.beat import Beat

    Beat(app=app, quiet=True).run()


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
def web(address: str) -> None:
    """Run the web process: health, and metrics for Prometheus.

    It listens on PORT (8080). Only this machine sees /metrics, unless METRICS_TOKEN says what
    others have to send.
    """
    from bot.settings import WebSettings
    from db.settings import DatabaseSettings, read

    _prepare(WebSettings)

    from bot.web import serving

    settings = read(WebSettings)
    with listener(address, settings.port, whose="the web process") as there:
        serving.serve(serving.application(read(DatabaseSettings), settings), there)


@click.command()
def bot() -> None:
    """Run the bot: it answers people on Discord, and hands what they ask for to the workers.

    DISCORD_TOKEN lets it in. SIGTERM or Ctrl-C lets the answers that people wait for be given.
    """
    from bot.settings import BotSettings
    from db.engine import connect_at_startup
    from db.settings import DatabaseSettings, read
    from workers.settings import DiscordSettings, WorkerSettings

    _prepare(BotSettings, DiscordSettings)

    from bot.discord.desk import Settings
    from bot.discord.running import DiscordUnavailable, serve

    database = read(DatabaseSettings)
    connect_at_startup(database).close()
    settings = Settings(read(BotSettings), read(DiscordSettings), read(WorkerSettings), database)
    try:
        serve(settings)
    except DiscordUnavailable as error:
        raise CommandFailed(str(error)) from None


def _prepare(*more: "type[Settings]") -> None:
    """Name everything that is missing or wrong before anything starts, and log as we do."""
    from db.settings import DatabaseSettings, read, require
    from workers.logs import configure
    from workers.settings import DiscordSettings, LogSettings, WorkerSettings

    require(DatabaseSettings, WorkerSettings, DiscordSettings, LogSettings, *more)
    configure(read(LogSettings))
