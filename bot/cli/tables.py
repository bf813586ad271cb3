"""How records look on a terminal, the same for every command that shows some."""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import MAXYEAR, UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bot import words
from db.records import Event, Request
from db.states import Status

COLOURS: Final = {
    Status.PENDING: "yellow",
    Status.GENERATING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.TIMEOUT: "red",
}
PIPE_WIDTH: Final = 200
"""Characters."""
EXCERPT: Final = 50
"""Characters of a prompt in a table with a line for each."""

#: Categories: control characters, lone surrogates, and what turns the direction of writing.
_UNSAFE: Final = ("Cc", "Cs", "Cf")
#: Joiners, of which emoji and some scripts are made.
_HARMLESS: Final = ("\u200c", "\u200d")
_BLANKS: Final = str.maketrans("\n\r\t", "   ")


def console() -> Console:
    """Stdout. A pipe has no width of its own, and whoever reads it wants whole lines."""
    return Console(
        highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=True
    )


def safe(written: str) -> Text:
    """What somebody wrote, in one line and without any power over the terminal."""
    return Text("".join(map(_shown, written.translate(_BLANKS))))


def _shown(character: str) -> str:
    if character not in _HARMLESS and unicodedata.category(character) in _UNSAFE:
        return ascii(character)[1:-1]
    return character


@dataclass(frozen=True, slots=True)
class Column:
    """What a table of requests shows of each, and the width kept for it."""

    cell: Callable[[Request], Text]
    min_width: int
    is_long: bool = False


ID: Final = Column(lambda each: Text(str(each.id)), 36)
USER: Final = Column(lambda each: safe(each.user_id), 8)
ASKED: Final = Column(lambda each: Text(minute(each.created_at)), 16)
STATUS: Final = Column(lambda each: Text(_standing(each), COLOURS[each.status]), 10)
TOOK: Final = Column(lambda each: Text(words.seconds(each.duration_ms)), 7)
PARAMETERS: Final = Column(lambda each: Text(words.parameters(each)), 30)
PROMPT: Final = Column(lambda each: safe(each.prompt[:EXCERPT]), 12, is_long=True)


def requests_table(requests: Iterable[Request], columns: Mapping[str, Column]) -> Table:
    """A line for each request; columns by their headings."""
    table = _table()
    for heading, column in columns.items():
        table.add_column(
            heading,
            min_width=column.min_width,
            no_wrap=True,
            overflow="ellipsis" if column.is_long else "fold",
            header_style="dim",
        )
    for each in requests:
        table.add_row(*(column.cell(each) for column in columns.values()))
    return table


def row_table(request: Request, *, place: int | None = None) -> Table:
    """Every column of the request's row that says something, and its place where it waits."""
    facts: dict[str, str] = {}
    for name in (field.name for field in fields(request)):
        value = getattr(request, name)
        if value is None or _says_nothing(request, name):
            continue
        facts[name] = _words(value)
        if name == "status" and place is not None:
            facts["place"] = words.in_the_queue(place)
        if name == "status" and request.is_late:
            facts["late"] = "its video came after the timeout"
    return facts_table(facts)


def events_table(request: Request, events: Iterable[Event]) -> Table:
    """A line for each event of the request, with the time since its creation."""
    table = plain_table("at (UTC)", "after", "event", "data")
    for each in events:
        table.add_row(
            Text(second(each.created_at)),
            Text(words.since(request.created_at, each.created_at)),
            safe(each.event_type),
            safe(_data(each)),
        )
    return table


def user_events_table(events: Iterable[Event]) -> Table:
    """A line for each event, whichever of a user's requests it is about."""
    table = plain_table("at (UTC)", "request", "event", "data")
    for each in events:
        table.add_row(
            Text(second(each.created_at)),
            Text(str(each.request_id)),
            safe(each.event_type),
            safe(_data(each)),
        )
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """A line for each fact, its name before it."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, fact in facts.items():
        table.add_row(name, safe(fact))
    return table


def plain_table(*headings: str, numbers: Iterable[str] = ()) -> Table:
    """A table that is yet to be filled; the columns of `numbers` to the right."""
    table = _table()
    for heading in headings:
        justify: Any = "right" if heading in numbers else "left"
        table.add_column(heading, justify=justify, overflow="fold", header_style="dim")
    return table


def minute(moment: datetime) -> str:
    """``2026-02-28 13:30``, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def second(moment: datetime) -> str:
    """``2026-02-28 13:30:05``, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def _standing(request: Request) -> str:
    return f"{request.status}, late" if request.is_late else request.status


def _says_nothing(request: Request, column: str) -> bool:
    """What waits in line is due at no time, and what was not started and is free bills nobody."""
    if column == "due_at":
        return request.due_at is not None and request.due_at.year == MAXYEAR
    return column == "billed" and request.started_at is None and not request.cost_usd


def _data(event: Event) -> str:
    return json.dumps(event.event_data, ensure_ascii=False) if event.event_data else ""


def _table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0))


def _words(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
