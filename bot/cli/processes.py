"""The long-running processes, each to be started by hand, by ``up`` or by a platform."""

import os

import click

from bot.cli.errors import CommandFailed


@click.command()
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one per core",
    help="Tasks that run at once, each in a process of its own.",
)
def worker(concurrency: int) -> None:
    """Run a worker: it makes the videos and follows them to their end.

    Start as many as you like, on as many machines. SIGTERM or Ctrl-C lets running tasks end.
    """
    _prepare()

    from workers.app import app

    # Workers share nothing but the broker and the database, so they need not know each other.
    name = f"--hostname=worker-{os.getpid()}@%h"
    options = [name, f"--concurrency={concurrency}", "--without-gossip", "--without-mingle"]
    app.start(["--quiet", "worker", *options])


@click.command()
def beat() -> None:
    """Run beat: it sends the periodic tasks. One is enough, and a second does no harm."""
    _prepare()

    # Beat asks for this when it starts and again when it is told to stop: if that falls into the
    # start, it would find half of it.
    import celery.app.amqp  # noqa: F401

    from workers.app import app

    app.start(["--quiet", "beat"])


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
def flower(address: str) -> None:
    """Run Flower, where operators watch the tasks.

    It listens on PORT (5555) and asks for the password in FLOWER_BASIC_AUTH (user:password).
    """
    from bot.settings import FlowerSettings
    from db.processes import is_free
    from db.settings import read, require
    from workers.app import app
    from workers.settings import LogSettings, WorkerSettings

    require(FlowerSettings, WorkerSettings, LogSettings)
    settings = read(FlowerSettings)
    if not is_free(settings.port):
        raise CommandFailed(f"Port {settings.port} is in use; PORT names another for Flower")
    password = settings.flower_basic_auth.get_secret_value()
    # These arguments are Flower's own: they never show in the list of processes.
    options = [f"--basic-auth={password}", f"--port={settings.port}", f"--address={address}"]
    app.start(["--quiet", "flower", *options])


def _prepare() -> None:
    """Name everything that is missing or wrong before anything starts, and log as we do."""
    from db.settings import DatabaseSettings, read, require
    from workers.logs import configure
    from workers.settings import LogSettings, WorkerSettings

    require(DatabaseSettings, WorkerSettings, LogSettings)
    configure(read(LogSettings))
