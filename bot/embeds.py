"""Records as embeds, in the form that Discord takes: pure functions."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from bot import words
from db.figures import Figures, GlobalFigures, GuildFigures
from db.records import Request
from db.standing import Spending, Standing, UserQuota
from db.states import Status

Json = dict[str, Any]

EXCERPT: Final = 80
"""Characters of a prompt where there are several."""
WHOLE: Final = 600
WITHOUT: Final = 500
"""Characters of a negative prompt; a field takes 1024, and each may need a sign before it."""
LATE: Final = "Its video came later."

SIGNS: Final = {
    Status.PENDING: "🕓",
    Status.GENERATING: "🎬",
    Status.COMPLETED: "✅",
    Status.FAILED: "❌",
    Status.TIMEOUT: "⌛",
}
COLOURS: Final = {
    Status.PENDING: 0x95A5A6,
    Status.GENERATING: 0x3498DB,
    Status.COMPLETED: 0x2ECC71,
    Status.FAILED: 0xE74C3C,
    Status.TIMEOUT: 0xE67E22,
}
BLUE: Final = 0x3498DB
_MARKDOWN: Final = frozenset("\\*_~`|>#[]()<:-@")


def quoted(prompt: str, most: int) -> str:
    """A prompt in one line, at most so many characters of it, and no markdown or mention.

    It is set apart, so that writing from right to left turns nothing around it.
    """
    line = " ".join(prompt.split())
    cut = line if len(line) <= most else f"{line[: most - 1]}…"
    safe = "".join(f"\\{each}" if each in _MARKDOWN else each for each in cut)
    return f"\u2068{safe}\u2069"


def when(moment: datetime, style: str = "f") -> str:
    """A time that Discord shows in its reader's own zone; style ``R`` is relative."""
    return f"<t:{int(moment.timestamp())}:{style}>"


def video(
    request: Request, *, place: int | None = None, link: str | None = None, note: str = ""
) -> Json:
    """All that its owner may want to know of a request, and its place where it waits.

    With a `link` to its video, which may be too long for a button, and a `note` instead of it.
    """
    watch = f"[Watch the video](<{link}>)" if link else note
    description = quoted(request.prompt, WHOLE)
    fields = [
        ("Asked", when(request.created_at)),
        ("Place", "" if place is None else words.in_the_queue(place)),
        ("Video", words.parameters(request)),
        ("Without", quoted(request.negative_prompt, WITHOUT) if request.negative_prompt else ""),
        ("Cost", "" if request.cost_usd is None else words.dollars(request.cost_usd)),
        ("Waited", words.seconds(request.queueing_ms)),
        ("Took", words.seconds(request.duration_ms)),
        ("Archived", when(request.archived_at) if request.archived_at else ""),
        ("Why", request.error_message or ""),
        ("But", LATE if request.is_late else ""),
    ]
    return {
        "title": f"{SIGNS[request.status]} {request.status}",
        "description": f"{description}\n\n{watch}" if watch else description,
        "color": COLOURS[request.status],
        "fields": [_field(name, value) for name, value in fields if value],
        "footer": {"text": str(request.id)},
    }


def history(requests: Sequence[Request], *, page: int, filtered_by: str) -> Json:
    """A page of somebody's requests."""
    lines = [
        f"{SIGNS[each.status]} {when(each.created_at, 'd')} {quoted(each.prompt, EXCERPT)}\n"
        f"-# {words.parameters(each)} · `{each.id}`{' · came late' if each.is_late else ''}"
        f"{_links(each)}"
        for each in requests
    ]
    return {
        "title": "Your videos",
        "description": "\n".join(lines) or "There are none.",
        "color": BLUE,
        "footer": {"text": " · ".join(filter(None, [f"page {page + 1}", filtered_by]))},
    }


def links(request: Request) -> list[str]:
    """Addresses of its videos that a browser can open."""
    return [each for each in request.video_urls or () if each.startswith("https://")]


def _links(request: Request) -> str:
    return "".join(f" · [watch]({each})" for each in links(request))


def standing(found: Standing, *, title: str, own: UserQuota | None = None) -> Json:
    """How somebody stands with limits and budgets (RL2, RL6)."""
    daily, monthly = found.daily, found.monthly
    by_hand = " (set for this user)"
    own_daily = by_hand if own and own.daily_limit is not None else ""
    own_monthly = by_hand if own and own.monthly_limit is not None else ""
    frees = ""
    if daily.limit and daily.reset_at is not None:
        frees = f"\nThe next place comes free {when(daily.reset_at, 'R')}."
    fields = [
        (
            "Last 24 hours",
            f"{words.used(daily)}{own_daily}{frees}",
        ),
        (
            "This month",
            f"{words.used(monthly)}{own_monthly}\n"
            f"The next month begins {when(monthly.reset_at, 'R')}.",
        ),
        *(_budget(each) for each in found.budgets),
    ]
    warnings = words.warnings(found)
    told = {"description": "\n".join(f"⚠️ {each}" for each in warnings)} if warnings else {}
    return {
        "title": title,
        **told,
        "color": COLOURS[Status.TIMEOUT] if warnings else BLUE,
        "fields": [_field(name, value) for name, value in fields],
    }


def _budget(each: Spending) -> tuple[str, str]:
    return (
        f"Budget: {each.scope}, {each.period}",
        f"{words.dollars(each.spent_usd)} of {words.dollars(each.limit_usd)} spent, "
        f"{words.dollars(each.remaining_usd)} left",
    )


def guild(figures: GuildFigures, *, title: str) -> Json:
    """A server's figures, with the prompts it asks for most (QH2)."""
    found = _figures(figures, title)
    top = [f"{count} times {quoted(prompt, EXCERPT)}" for prompt, count in figures.top_prompts]
    if top:
        found["fields"].append(_field("Most common prompts", "\n".join(top)[:1024]))
    return found


def everybody(figures: GlobalFigures, *, title: str, warning: str | None = None) -> Json:
    """Everybody's figures, with percentiles (QH3), and what the owner has to be warned of."""
    found = _figures(figures, title)
    if warning is not None:
        found["description"] = f"⚠️ {warning}"
    named = (("P50", figures.p50_ms), ("P95", figures.p95_ms), ("P99", figures.p99_ms))
    told = [f"{name} {words.seconds(value)}" for name, value in named if value is not None]
    if told:
        found["fields"].append(_field("How long videos take", " · ".join(told)))
    return found


def _figures(figures: Figures, title: str) -> Json:
    return {
        "title": title,
        "color": BLUE,
        "fields": [_field(name, value) for name, value in _facts(figures)],
    }


def _facts(figures: Figures) -> Iterator[tuple[str, str]]:
    yield "Requests", f"{figures.total:,}"
    for status, count in figures.by_status.items():
        yield f"{SIGNS[status]} {status}", f"{count:,}"
    if figures.failure_rate is not None:
        yield "Failure rate", f"{figures.failure_rate:.1f} %"
    if figures.average_duration_ms is not None:
        yield "Average time", words.seconds(figures.average_duration_ms)
    yield "Cost", words.dollars(figures.cost_usd)


def _field(name: str, value: str) -> Json:
    return {"name": name, "value": value[:1024], "inline": len(value) < EXCERPT // 2}
