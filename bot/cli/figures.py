"""How figures look on a terminal."""

from collections.abc import Sequence
from datetime import datetime

from rich.table import Table
from rich.text import Text

from bot import words
from bot.cli.tables import console, facts_table, minute, plain_table, safe
from db.states import Status
from db.statistics import Figures, GlobalFigures, GuildFigures, LimitReached

NOTHING = "-"


def show(
    found: Figures | Sequence[LimitReached], since: datetime | None, until: datetime | None
) -> None:
    """Print tables of what was found in a range, or a line if it was nothing."""
    terminal = console()
    told = _told(since, until)
    if not isinstance(found, Figures):
        terminal.print(_users(found) if found else f"Nobody has reached the limit {told}.")
        return
    if not found.total:
        terminal.print(f"There are no requests {told}.")
        return
    terminal.print(f"Requests {told}:")
    terminal.print(facts_table(_facts(found)))
    if isinstance(found, GuildFigures):
        for table in (_periods(found), _prompts(found)):
            terminal.print()
            terminal.print(table)


def _told(since: datetime | None, until: datetime | None) -> str:
    if since is None:
        return f"before {minute(until)} UTC" if until else "of all time"
    return f"from {minute(since)} to {minute(until) if until else 'now'} (UTC)"


def _facts(found: Figures) -> dict[str, str]:
    facts: dict[str, str] = {
        "total": f"{found.total:,}",
        **{str(status): f"{count:,}" for status, count in found.by_status.items()},
        "in progress": f"{found.in_progress:,}",
        "failed or timed out": f"{found.failures:,}, {_rate(found)} of what has ended",
        "average": words.seconds(found.average_duration_ms) or NOTHING,
        "cost": words.dollars(found.cost_usd),
    }
    if isinstance(found, GlobalFigures):
        times = {"P50": found.p50_ms, "P95": found.p95_ms, "P99": found.p99_ms}
        facts |= {name: words.seconds(time) or NOTHING for name, time in times.items()}
    return facts


def _periods(found: GuildFigures) -> Table:
    numbers = ("total", *Status, "average", "cost")
    table = plain_table("from (UTC)", *numbers, numbers=numbers)
    for period in found.periods:
        table.add_row(
            Text(f"{period.start:%Y-%m-%d}"),
            f"{period.total:,}",
            *(f"{count:,}" for count in period.by_status.values()),
            words.seconds(period.average_duration_ms) or NOTHING,
            words.dollars(period.cost_usd),
        )
    return table


def _prompts(found: GuildFigures) -> Table:
    table = plain_table("times", "prompt", numbers=["times"])
    for prompt, count in found.top_prompts:
        table.add_row(f"{count:,}", safe(prompt))
    return table


def _users(found: Sequence[LimitReached]) -> Table:
    table = plain_table("user", "total", "first reached (UTC)", numbers=["total"])
    for user in found:
        table.add_row(safe(user.user_id), f"{user.total:,}", minute(user.first_reached_at))
    return table


def _rate(found: Figures) -> str:
    rate = found.failure_rate
    return NOTHING if rate is None else f"{rate:.1f} %"
