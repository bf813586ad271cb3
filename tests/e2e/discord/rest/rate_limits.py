"""Rate limits (Topics, "Rate Limits"): headers with every answer, and a true bucket for edits.

A bucket is a route with its major parameters (channel, guild, webhook with its token). Windows
are real time: a client that is told to wait waits.
"""

import hashlib
import time
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import Final

MAJOR: Final = ("channel", "guild", "webhook", "token")
LIMIT: Final = 5
WINDOW: Final = 5.0
"""Requests, and seconds."""


@dataclass(frozen=True)
class Standing:
    """Where a bucket stands after a request."""

    bucket: str
    remaining: int
    reset_after: float
    is_exceeded: bool = False

    @property
    def headers(self) -> dict[str, str]:
        """As every answer tells it."""
        return {
            "X-RateLimit-Limit": str(LIMIT),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": f"{time.time() + self.reset_after:.3f}",
            "X-RateLimit-Reset-After": f"{self.reset_after:.3f}",
            "X-RateLimit-Bucket": self.bucket,
        }


class RateLimits:
    """All buckets."""

    def __init__(self) -> None:
        self.limits_edits = False
        """Whether edits of messages are really limited: 5 in 5 seconds."""
        self._past: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, route: str, parameters: dict[str, str]) -> Standing:
        """Count a request."""
        major = ":".join(parameters.get(name, "") for name in MAJOR)
        bucket = hashlib.sha256(f"{route} {major}".encode()).hexdigest()[:32]
        is_edit = route.startswith("PATCH ") and "/messages/" in route
        if not (self.limits_edits and is_edit):
            return Standing(bucket, LIMIT - 1, 1.0)
        past, now = self._past[bucket], time.monotonic()
        while past and past[0] <= now - WINDOW:
            past.popleft()
        reset_after = past[0] + WINDOW - now if past else WINDOW
        if len(past) >= LIMIT:
            return Standing(bucket, 0, reset_after, is_exceeded=True)
        past.append(now)
        return Standing(bucket, LIMIT - len(past), reset_after)
