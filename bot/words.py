"""What people are told: pure functions from records to words."""

from datetime import UTC, datetime
from decimal import Decimal

from db.records import RateLimit, Request


def refusal(limit: RateLimit) -> str:
    """Why a request was not taken on, and when to come back (RL3)."""
    videos = "video" if limit.limit == 1 else "videos"
    sentence = f"All {limit.limit} {videos} of the last 24 hours are used."
    if limit.reset_at is None:
        return sentence
    when = limit.reset_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return f"{sentence} The next one comes free at {when} ({limit.resets_in})."


def parameters(request: Request) -> str:
    """``4 s · 16:9 · 720p · audio on``."""
    audio = "on" if request.generate_audio else "off"
    return (
        f"{request.duration_seconds} s · {request.aspect_ratio} · {request.resolution} · "
        f"audio {audio}"
    )


def since(start: datetime, moment: datetime) -> str:
    """Time between two moments: ``+3.2 s``."""
    return f"+{(moment - start).total_seconds():.1f} s"


def file_size(size: int) -> str:
    """``812 KB`` or ``3.4 MB``."""
    return f"{size / 1e6:.1f} MB" if size >= 1_000_000 else f"{max(size // 1000, 1)} KB"


def seconds(milliseconds: float | None) -> str:
    """``42.3 s``; nothing where there is nothing to tell."""
    return "" if milliseconds is None else f"{milliseconds / 1000:,.1f} s"


def dollars(amount: Decimal) -> str:
    """``$1,234.50``."""
    return f"${amount:,.2f}"
