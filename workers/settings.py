"""What the workers need to know of their environment."""

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from db.settings import Settings


class SandboxOutcome(StrEnum):
    """How the sandbox provider answers every request."""

    COMPLETED = "completed"
    #: Turned down for good when it is to be started.
    REFUSED = "refused"
    #: Always too busy to start anything.
    BUSY = "busy"
    #: Started, but the answer that says so never arrives.
    UNKNOWN = "unknown"
    FAILED = "failed"
    FILTERED = "filtered"
    #: Started, and never heard of again.
    NEVER = "never"


class WorkerSettings(Settings):
    """The broker, the limits, the provider and the storage. Durations are in seconds."""

    redis_url: SecretStr = SecretStr("redis://localhost:6379/0")
    daily_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    monthly_quota: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    #: Whether what failed without being billed keeps its place in the limits.
    failed_requests_count: bool = True
    generation_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    #: Days that an ended request is kept; None keeps everything.
    request_retention_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    rescue_after_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    video_provider: Literal["sandbox"] = "sandbox"
    video_storage: Literal["folder"] = "folder"
    output_dir: Path = Path("videos")
    sandbox_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5
    sandbox_outcome: SandboxOutcome = SandboxOutcome.COMPLETED
    #: Dollars.
    sandbox_price_per_second: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=4)] = Decimal(
        0
    )

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith(("redis://", "rediss://")):
            raise ValueError("must look like redis://:password@host:6379/0")
        return url

    @property
    def generation_timeout(self) -> timedelta:
        """From a request's start to its timeout (RT4)."""
        return timedelta(seconds=self.generation_timeout_seconds)

    @property
    def retention(self) -> timedelta | None:
        """How long ended requests are kept (RE1); None keeps everything."""
        days = self.request_retention_days
        return None if days is None else timedelta(days=days)

    @property
    def rescue_after(self) -> timedelta:
        """How long nobody needs to be heard of before the sweeper takes a request up."""
        return timedelta(seconds=self.rescue_after_seconds)


class DiscordSettings(Settings):
    """Where Discord is, and what lets the bot in."""

    discord_token: SecretStr | None = None
    #: With its version, as in ``https://discord.com/api/v10``.
    discord_api_url: str = "https://discord.com/api/v10"

    @field_validator("discord_api_url")
    @classmethod
    def _is_http(cls, url: str) -> str:
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", url):
            raise ValueError("must look like https://discord.com/api/v10")
        return url.rstrip("/")


class LogSettings(Settings):
    """How a process logs. ``auto`` is ``console`` on a terminal and ``json`` elsewhere."""

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
