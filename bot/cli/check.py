"""``video-bot check``: all that an installation needs, each thing ok or with its remedy."""

from typing import TYPE_CHECKING

import click

from bot.cli.errors import BAD_INPUT, FAILED
from bot.cli.filters import json_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workers.findings import Finding, Well


@click.command()
@json_option
def check(*, as_json: bool) -> None:
    """Look at everything that this installation needs, and say what to do about what is wrong.

    Settings, Postgres and its migrations, Redis, the storage (something small is written, found,
    opened by a link where there are any, and removed), the provider and its model, Discord, and
    the clock. It costs nothing, and takes fifteen seconds at most. Of what cannot be looked at, for
    its settings are wrong say, it tells why. Status 1 says that something is wrong, 2 that a
    setting is.
    """
    from rich.console import Console

    from bot.plain import as_json as json_of
    from workers.checks import LOOKS
    from workers.findings import look
    from workers.logs import configure
    from workers.settings import LogSettings

    # What a library has to say is said in the table.
    configure(LogSettings.model_construct(), level="critical")
    # Of the terminal only; a pipe gets none of it.
    with Console(stderr=True).status("Looking at everything, for fifteen seconds at most"):
        found = look({"settings": _settings, **LOOKS})
    if as_json:
        click.echo(json_of(found))
    else:
        _tell(found)
    wrong = {each.name for each in found if not each.ok}
    status = BAD_INPUT if "settings" in wrong else FAILED
    click.get_current_context().exit(status if wrong else 0)


def _settings() -> "Well":
    """All that are set are right, and none is missing that every process needs."""
    from bot.settings import BotSettings, FlowerSettings, GivenSettings, WebSettings
    from db.settings import DatabaseSettings, SettingsError, read, require
    from workers import checks
    from workers.findings import Well, Wrong
    from workers.settings import DiscordSettings, LogSettings, WorkerSettings

    def not_run() -> set[str]:
        # Who runs no bot and no Flower goes without.
        return {"DISCORD_TOKEN", "FLOWER_BASIC_AUTH"}.difference(read(GivenSettings).variables())

    common = (DatabaseSettings, WorkerSettings, DiscordSettings, LogSettings)
    problems: list[str] = []
    for ask in (
        lambda: require(*common, BotSettings, FlowerSettings, WebSettings, brought=not_run()),
        # What only the provider and the storage know to be wrong: a model that is not there.
        checks.named_provider,
        checks.named_storage,
    ):
        try:
            ask()
        except SettingsError as error:
            problems += str(error).splitlines()
    if problems:
        told = "\n".join(dict.fromkeys(problems))
        raise Wrong(told, ".env.example tells of every variable", is_ours=True)
    return Well("none is missing or wrong")


def _tell(found: "Sequence[Finding]") -> None:
    from rich.text import Text

    from bot.cli import tables

    table = tables.plain_table("checked", "", "found", "remedy")
    for each in found:
        word, colour = ("ok", "green") if each.ok else ("failed", "red")
        if each.ok and each.remedy:
            word, colour = "warning", "yellow"
        if each.ok is None:
            word, colour = "unknown", "yellow"
        detail, remedy = tables.safe(each.detail), tables.safe(each.remedy or "")
        table.add_row(Text(each.name), Text(word, colour), detail, remedy)
    tables.console().print(table)
