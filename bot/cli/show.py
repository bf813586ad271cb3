"""What a person at a terminal sees of a request: its steps live, its row, its history."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from bot import words
from bot.cli import tables
from bot.cli.admission import LOOK_EVERY
from db import events, history, requests
from db.engine import Database
from db.errors import RequestNotFound
from db.events import EventType
from db.records import Event, Request
from db.states import Status

EARLIER: Final = 5
"""Earlier requests to show."""


class Steps:
    """Tells what has been done, and how long each step took."""

    def __init__(self) -> None:
        self.console = tables.console()
        self._since = time.monotonic()

    def say(self, line: str) -> None:
        """A line by itself."""
        self.console.print(escape(line))

    def done(self, step: str) -> None:
        """A step that ended just now."""
        now = time.monotonic()
        self.console.print(f"[green]✓[/] {escape(step)} [dim]({now - self._since:.1f} s)[/]")
        self._since = now


def follow(
    steps: Steps,
    database: Database,
    request: Request,
    *,
    seconds: float,
    is_known: bool,
    check: Callable[[], None],
) -> Request:
    """Show each transition as it happens, until the request has ended; its last state.

    `seconds` is how long it takes, where that `is_known`, or may take at most: the bar measures
    time against it and invents nothing. `check` is called at every look, and may raise.
    """
    console = steps.console
    console.print(f"\n[bold]{escape(request.prompt)}[/]\n{words.parameters(request)}")
    how = "about" if is_known else "at most"
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn(f"{{task.completed:.1f}} s of {how} {{task.total:.1f}} s"),
    )
    seen = 0
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("waiting", total=seconds, visible=False)
        while True:
            with database.autocommit() as conn:
                found = requests.get(conn, request.id)
                told = events.of_request(conn, request.id)
            if found is None:
                raise RequestNotFound(request.id)
            for event in told[seen:]:
                if status := _entered(event):
                    after = words.since(request.created_at, event.created_at)
                    console.print(f"  [{tables.COLOURS[status]}]●[/] {after:>9}  {status}")
            seen = len(told)
            if found.status.has_ended:
                return found
            if found.started_at:
                elapsed = time.time() - found.started_at.timestamp()
                progress.update(bar, description="generating", visible=True, completed=elapsed)
            check()
            time.sleep(LOOK_EVERY)


def show_row(steps: Steps, request: Request) -> None:
    """The row as it stands."""
    steps.console.print("\nThe row as it stands:")
    steps.console.print(tables.row_table(request))


def show_video(steps: Steps, path: Path) -> None:
    """Where the video is."""
    size = words.file_size(path.stat().st_size)
    steps.console.print(f"\n[green]The video is at[/] [bold]{escape(str(path))}[/] ({size})")


def show_history(steps: Steps, database: Database, request: Request) -> None:
    """The user's earlier requests, if there are any."""
    with database.autocommit() as conn:
        known = history.of_user(conn, request.user_id, limit=EARLIER + 1)
    earlier = [each for each in known if each.id != request.id][:EARLIER]
    if not earlier:
        return
    columns = {
        "earlier": tables.ASKED,
        "status": tables.STATUS,
        "took": tables.TOOK,
        "parameters": tables.PARAMETERS,
        "prompt": tables.PROMPT,
    }
    steps.console.print()
    steps.console.print(tables.requests_table(earlier, columns))


def _entered(event: Event) -> Status | None:
    """The state that the request entered with this event."""
    match event.event_type:
        case EventType.CREATED:
            return Status.PENDING
        case EventType.STATUS_CHANGED:
            return Status(event.event_data["to"])
    return None
