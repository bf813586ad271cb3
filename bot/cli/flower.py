"""``video-bot flower``: Flower as this system wants it, whatever its own defaults are."""

import logging
import os
import secrets
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click

from bot.cli.errors import CommandFailed
from bot.cli.listening import listener

if TYPE_CHECKING:
    from pathlib import Path

    from bot.settings import FlowerSettings

SAVE_EVERY: Final = 60
"""Seconds between two writings of the state, which is written at the end too."""
MAX_TASKS: Final = 20_000
"""Tasks that Flower remembers: what it saves in well under a second."""


@click.command()
@click.option("--address", default="127.0.0.1", show_default=True, help="Address to listen on.")
def flower(address: str) -> None:
    """Run Flower, where operators watch the tasks.

    It listens on PORT (5555), under FLOWER_URL_PREFIX if that is set, and asks for the password
    in FLOWER_BASIC_AUTH (user:password). It shows and changes nothing. What it has seen it keeps
    in the file FLOWER_DB.
    """
    from bot.settings import FlowerSettings
    from db.settings import read, require
    from workers.app import app
    from workers.settings import LogSettings, WorkerSettings

    require(FlowerSettings, WorkerSettings, LogSettings)
    settings = read(FlowerSettings)
    # Flower opens it itself, and says less where it cannot.
    listener(address, settings.port, whose="Flower").close()
    # The state is a pickle, so nobody else may write it.
    os.umask(0o077)
    options = {
        "address": address,
        "port": settings.port,
        "basic-auth": settings.flower_basic_auth.get_secret_value(),
        "cookie-secret": _cookie_secret(settings),
        "url-prefix": settings.flower_url_prefix,
        "persistent": True,
        "db": settings.flower_db.absolute(),
        "state-save-interval": SAVE_EVERY * 1000,
        "max-tasks": MAX_TASKS,
        "read-only": True,
    }
    _close_metrics()
    logging.getLogger("flower.inspector").addFilter(_has_reason)
    # These arguments are Flower's own: they never show in the list of processes.
    arguments = [f"--{name}={value}" for name, value in options.items() if value != ""]
    app.start(["--quiet", "flower", *arguments])


def _cookie_secret(settings: "FlowerSettings") -> str:
    """The one that is set, or else one that is made once and kept beside the state.

    Raises CommandFailed where nothing can be kept there.
    """
    from db.embedded_server import write_private

    state = settings.flower_db.absolute()
    kept = state.with_name(f"{state.name}.secret")
    try:
        state.parent.mkdir(parents=True, exist_ok=True)
        if given := settings.flower_cookie_secret.get_secret_value():
            _check_writable(state.parent)
            return given
        if not kept.exists():
            write_private(kept, secrets.token_urlsafe(48))
        return kept.read_text()
    except OSError as error:
        raise CommandFailed(
            f"Flower cannot keep its state in {state.parent} ({error.strerror}); "
            "FLOWER_DB names another file"
        ) from None


def _check_writable(folder: "Path") -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(None, "Permission denied")


def _has_reason(record: logging.LogRecord) -> bool:
    """Whether what Flower says of a question to the workers is worth telling.

    Where none has answered within a second it warns of each question and says nothing more: at the
    start of every system, and its page shows who is there. What has failed comes with its reason.
    """
    return record.msg != "Inspect method %s failed"


def _close_metrics() -> None:
    """Have Flower ask for the password before it shows its metrics too."""
    from tornado.web import authenticated

    page: Any = import_module("flower.views.monitor").Metrics
    page.get = authenticated(page.get)
