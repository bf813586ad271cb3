"""``video-bot up``: the whole system on this machine, kept running."""

import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from bot.cli.errors import CommandFailed
from bot.cli.listening import listener
from bot.cli.options import Folder

if TYPE_CHECKING:
    from db.settings import Settings

COLOURS: Final = {
    "worker": "cyan",
    "beat": "magenta",
    "flower": "yellow",
    "web": "green",
    "bot": "blue",
}
"""The processes, in the order in which they start."""
PLACES: Final = ("DATABASE_URL", "REDIS_URL", "OUTPUT_DIR")
LOOK_EVERY: Final = 0.2
"""Seconds."""
SERVERS_EVERY: Final = 5
"""Looks at the processes for one at the servers."""


@click.command()
@click.option(
    "--folder",
    type=Folder(),
    help="Keep database and videos here. [default: video-bot/up, where data belongs]",
)
def up(folder: Path | None) -> None:
    """Run the whole system on this machine, until Ctrl-C.

    It brings PostgreSQL and Redis of its own, unless DATABASE_URL or REDIS_URL say where they
    are, migrates the database, and runs a worker, beat, Flower (on PORT, if that is set), the
    web process and, if DISCORD_TOKEN is set, the bot. Requests and videos are there again the
    next time.
    """
    from bot.cli import local
    from bot.cli.home import home
    from bot.settings import BotSettings, FlowerSettings, GivenSettings, WebSettings
    from db.settings import DatabaseSettings, read, require
    from workers.settings import DiscordSettings, LogSettings, WorkerSettings

    given = read(GivenSettings).variables()
    brought = {"DATABASE_URL", "FLOWER_BASIC_AUTH"}.difference(given)
    needed: list[type[Settings]] = [DatabaseSettings, FlowerSettings, WebSettings]
    needed += [WorkerSettings, LogSettings]
    is_on_discord = "DISCORD_TOKEN" in given
    if is_on_discord:
        needed += [BotSettings, DiscordSettings]
    require(*needed, brought=brought)
    with ExitStack() as stack:
        wanted = folder or home(_say) / "up"
        place = stack.enter_context(local.free_folder(wanted, report=_say))
        theirs = _theirs(given)
        but = f", but for what lies where .env or the environment say: {theirs}" if theirs else ""
        _say(f"Everything is kept in {place}{but}")
        flower = _flower(place, given)
        servers = stack.enter_context(local.servers(place, given, report=_say))
        environment = {**servers, **flower}
        if sys.stdout.isatty():
            environment.setdefault("LOG_FORMAT", "console")
        own = {"web": {"PORT": _web_port(environment)}}
        children = {
            name: stack.enter_context(
                local.process(name, {**environment, **own.get(name, {})}, stdout=PIPE, stderr=PIPE)
            )
            for name in COLOURS
            if name != "bot" or is_on_discord
        }
        for name, child in children.items():
            for stream in (child.stdout, child.stderr):
                threading.Thread(target=_repeat, args=(name, stream), daemon=True).start()
        _tell_addresses(environment, given, web_port=own["web"]["PORT"])
        stack.callback(_say, "Stopping")
        own_servers = {
            name: environment[variable]
            for name, variable in (("PostgreSQL", "DATABASE_URL"), ("Redis", "REDIS_URL"))
            if variable not in given
        }
        _watch(children, own_servers)


def _theirs(given: Mapping[str, str]) -> str:
    """What of the places the user has named."""
    return " and ".join(name for name in PLACES if name in given)


def _flower(place: Path, given: Mapping[str, str]) -> dict[str, str]:
    """Where Flower listens and keeps its state, and a password for this run unless there is one.

    Raises CommandFailed where somebody else listens there.
    """
    from bot.settings import WebSettings
    from db.processes import free_port, is_free
    from db.settings import read

    if "PORT" in given:
        listener("127.0.0.1", read(WebSettings).port, whose="Flower").close()
    port = 5555 if is_free(5555) else free_port()
    password = secrets.token_urlsafe(12)
    state = str(place / "flower" / "state")
    own = {"PORT": str(port), "FLOWER_BASIC_AUTH": f"admin:{password}", "FLOWER_DB": state}
    return {**own, **given}


def _web_port(environment: Mapping[str, str]) -> str:
    """Where the web process listens: one PORT cannot be two processes'."""
    from db.processes import free_port, is_free

    usual = 8080
    return str(usual if is_free(usual) and environment["PORT"] != str(usual) else free_port())


def _tell_addresses(
    environment: Mapping[str, str], given: Mapping[str, str], *, web_port: str
) -> None:
    user, _, password = environment["FLOWER_BASIC_AUTH"].partition(":")
    shown = "as in FLOWER_BASIC_AUTH" if "FLOWER_BASIC_AUTH" in given else password
    path = environment.get("FLOWER_URL_PREFIX", "").strip("/")
    flower = f"http://127.0.0.1:{environment['PORT']}{path and f'/{path}/'}"
    _say(f"Flower:  {flower}  user {user}, password {shown}")
    _say(f"Health:  http://127.0.0.1:{web_port}/health/ready, and /metrics")
    _say("From another terminal, ask for a video with")
    ours = [name for name in PLACES if name not in given]
    # Who asks looks at the limits before he sends; they are to be the same ones.
    limits = [name for name in ("DAILY_LIMIT", "MONTHLY_QUOTA") if name in environment]
    for name in ours + limits:
        _say(f"  export {name}={shlex.quote(environment[name])}")
    if theirs := _theirs(given):
        _say(f"  (and {theirs} as here)")
    _say('  video-bot submit "a red kite over a grassy park"')
    _say("Ctrl-C stops everything.")


def _repeat(name: str, stream: IO[bytes]) -> None:
    """Print a process's lines as they come, with its name before each."""
    prefix = click.style(f"{name:<7}|", fg=COLOURS[name])
    for line in stream:
        click.echo(f"{prefix} {line.decode(errors='replace').rstrip()}")


def _watch(children: Mapping[str, Popen[bytes]], servers: Mapping[str, str]) -> None:
    """Wait until a process or a server of our own ends, which none of them should."""
    looks = count()
    while True:
        # First, for a process that has lost its server may end, too.
        if next(looks) % SERVERS_EVERY == 0:
            for name, url in servers.items():
                if not _listens(url):
                    raise CommandFailed(f"{name} has ended; its log in the folder may tell why")
        for name, child in children.items():
            if child.poll() is not None:
                raise CommandFailed(f"{name} has ended with status {child.returncode}")
        time.sleep(LOOK_EVERY)


def _listens(url: str) -> bool:
    """Whether anybody does; one who is too busy to accept does."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=LOOK_EVERY).close()
    except ConnectionRefusedError:
        return False
    except OSError:
        return True
    return True


def _say(line: str) -> None:
    click.echo(f"{click.style('up     |', bold=True)} {line}")
