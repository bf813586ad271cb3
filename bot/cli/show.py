"""What a person at a terminal sees of a request: its steps live, its row, its history."""

import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from bot import words
from bot.cli.admission import LOOK_EVERY
from db import events, history, requests
from db.engine import Database
from db.errors import RequestNotFound
from db.events import EventType
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
EARLIER: Final = 5
"""Earlier requests to show."""


class Steps:
    """Tells what has been done, and how long each step took."""

    def __init__(self) -> None:
        # A pipe has no width of its own, and whoever reads it wants whole lines.
        self.console = Console(
            highlight=False, width=None if sys.stdout.isatty() else PIPE_WIDTH, soft_wrap=True
        )
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
    expected_seconds: float,
    check: Callable[[], None],
) -> Request:
    """Show each transition as it happens, until the request has ended; its last state.

    `expected_seconds` is how long the provider says that it takes: the bar measures time against
    it and invents nothing. `check` is called at every look, and may raise.
    """
    console = steps.console
    console.print(f"\n[bold]{escape(request.prompt)}[/]\n{words.parameters(request)}")
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.1f} s of about {task.total:.1f} s"),
    )
    seen = 0
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("waiting", total=expected_seconds, visible=False)
        while True:
            with database.autocommit() as conn:
                found = requests.get(conn, request.id)
                told = events.of_request(conn, request.id)
            if found is None:
                raise RequestNotFound(request.id)
            for event in told[seen:]:
                if status := _entered(event):
                    after = words.since(request.created_at, event.created_at)
                    console.print(f"  [{COLOURS[status]}]●[/] {after:>9}  {status}")
            seen = len(told)
            if found.status.has_ended:
                return found
            if found.started_at:
                elapsed = time.time() - found.started_at.timestamp()
                progress.update(bar, description="generating", visible=True, completed=elapsed)
            check()
            time.sleep(LOOK_EVERY)


def show_result(steps: Steps, request: Request) -> Path | None:
    """The row as it stands, and where the video is, if there is one."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for field in fields(request):
        value = getattr(request, field.name)
        if value is not None:
            table.add_row(f"[dim]{field.name}[/]", escape(_cell(value)))
    steps.console.print("\nThe row as it stands:")
    steps.console.print(table)
    if not request.video_urls:
        return None
    path = Path(unquote(urlsplit(request.video_urls[0]).path))
    size = words.file_size(path.stat().st_size)
    steps.console.print(f"\n[green]The video is at[/] [bold]{escape(str(path))}[/] ({size})")
    return path


def show_history(steps: Steps, database: Database, request: Request) -> None:
    """The user's earlier requests, if there are any."""
    with database.autocommit() as conn:
        known = history.of_user(conn, request.user_id, limit=EARLIER + 1)
    earlier = [each for each in known if each.id != request.id][:EARLIER]
    if not earlier:
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for heading, width in (("earlier", 16), ("status", 10), ("took", 7), ("parameters", 30)):
        table.add_column(heading, min_width=width, no_wrap=True, header_style="dim")
    table.add_column("prompt", no_wrap=True, overflow="ellipsis", header_style="dim")
    for each in earlier:
        table.add_row(
            each.created_at.strftime("%Y-%m-%d %H:%M"),
            f"[{COLOURS[each.status]}]{each.status}[/]",
            "" if each.duration_ms is None else f"{each.duration_ms / 1000:.1f} s",
            words.parameters(each),
            escape(each.prompt[:50]),
        )
    steps.console.print()
    steps.console.print(table)


def _entered(event: Event) -> Status | None:
    """The state that the request entered with this event."""
    match event.event_type:
        case EventType.CREATED:
            return Status.PENDING
        case EventType.STATUS_CHANGED:
            return Status(event.event_data["to"])
    return None


def _cell(value: object) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)
