"""Every command, and what each does with an error.

Modules here import what is heavy (Celery, SQLAlchemy, rich) where they use it, so that
``video-bot --help`` answers at once.
"""

import errno
from typing import Any

import click

from bot.cli import (
    INTERRUPTED,
    check,
    cleanup,
    database,
    demo,
    flower,
    interruptions,
    keeping,
    limits,
    processes,
    reading,
    stats,
    submit,
    up,
)
from bot.cli.errors import BAD_INPUT, FAILED, CommandFailed


class Commands(click.Group):
    """A group whose commands end in one sentence and an exit status, whatever went wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; translate the errors that a user or operator can do something about."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if interruptions.were_received():
                # What a library made of the interruption.
                raise KeyboardInterrupt from None
            status = _status_of(error)
            if status is None:
                raise
            click.echo(f"video-bot: {error}", err=True)
            ctx.exit(status)


def _status_of(error: Exception) -> int | None:
    """The exit status of an error that needs no trace back; None for a bug."""
    from db.embedded import EmbeddedServerError
    from db.errors import DatabaseError
    from db.migrate import MigrationError
    from db.settings import SettingsError
    from db.validation import InvalidRequest
    from workers.errors import BrokerUnavailable

    if isinstance(error, SettingsError | InvalidRequest):
        return BAD_INPUT
    known = DatabaseError | MigrationError | EmbeddedServerError | BrokerUnavailable
    return FAILED if isinstance(error, known) else None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="video-bot")
def cli() -> None:
    """Videos for Discord communities: one typed sentence, one paid call, one video.

    Start with:  video-bot demo "a red kite over a grassy park"

    It runs the whole system on this machine, with a database and a broker of its own. Every
    other command is configured by environment variables, or a file .env in the working
    directory; README.rst and .env.example list them all.

    Exit status: 0 success; 1 failure; 2 bad input or settings; 3 refused by a limit;
    4 the video failed, was filtered or timed out; 130 interrupted.
    """


cli.add_command(demo.demo)
cli.add_command(up.up)
cli.add_command(check.check)
cli.add_command(submit.submit)
cli.add_command(submit.remix)
cli.add_command(reading.history)
cli.add_command(reading.show)
cli.add_command(reading.events)
cli.add_command(keeping.archive)
cli.add_command(keeping.delete)
cli.add_command(cleanup.cleanup)
cli.add_command(stats.stats)
cli.add_command(limits.limits)
cli.add_command(database.db)
cli.add_command(processes.bot)
cli.add_command(processes.worker)
cli.add_command(processes.beat)
cli.add_command(flower.flower)
cli.add_command(processes.web)


def run() -> int:
    """Run the command line; its exit status."""
    try:
        status = cli.main(standalone_mode=False)
    except CommandFailed as error:
        click.echo(f"video-bot: {error.message}", err=True)
        return error.status
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        click.echo(f"video-bot: {error.strerror}", err=True)
        return FAILED
    return status if isinstance(status, int) else 0
