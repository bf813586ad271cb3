"""What the workers need to know of their environment."""

import re
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from db.settings import Settings

_ADDRESS: Final = re.compile(r"https?://[^/?#@\s]+[^?#@\s]*")


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


class BrokerSettings(Settings):
    """How to reach Redis."""

    redis_url: SecretStr = SecretStr("redis://localhost:6379/0")

    @field_validator("redis_url")
    @classmethod
    def _is_redis(cls, url: SecretStr) -> SecretStr:
        if not _is_address_of_redis(url.get_secret_value()):
            raise ValueError(
                "must look like redis://:password@host:6379/0, with / as %2F inside of a password"
            )
        if not _has_known_options(url.get_secret_value()):
            raise ValueError(
                "has something behind its ? that is none of ssl_cert_reqs=required (or optional,"
                " none), ssl_check_hostname=true (or false), ssl_ca_certs, ssl_certfile and"
                " ssl_keyfile, which go with rediss://"
            )
        return url


def _is_address_of_redis(url: str) -> bool:
    """Whether the client takes it; what it says of one that it does not, may be a password."""
    try:
        parts = urlsplit(url)
        is_place = parts.hostname is not None and parts.port != 0
    except ValueError:
        return False
    is_number = re.fullmatch(r"/?[0-9]{0,9}", parts.path) is not None
    return (
        url.startswith(("redis://", "rediss://")) and is_place and is_number and url.isprintable()
    )


def _has_known_options(url: str) -> bool:
    """Whether kombu takes all that is behind the question mark."""
    parts = urlsplit(url)
    given = parse_qsl(parts.query, keep_blank_values=True)
    known = _OPTIONS_OF_TLS if parts.scheme == "rediss" else {}
    return all(re.fullmatch(known.get(name, "(?!)"), value) for name, value in given)


_OPTIONS_OF_TLS: Final = {
    "ssl_cert_reqs": "required|optional|none|CERT_REQUIRED|CERT_OPTIONAL|CERT_NONE",
    "ssl_check_hostname": "true|false",
    "ssl_ca_certs": ".+",
    "ssl_certfile": ".+",
    "ssl_keyfile": ".+",
}


class WorkerSettings(BrokerSettings):
    """The broker, the limits, the provider and the storage. Durations are in seconds."""

    #: What becomes of new requests while Postgres is away.
    database_outage: Literal["proceed", "refuse"] = "proceed"
    daily_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 5
    monthly_quota: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    #: Whether what failed without being billed keeps its place in the limits.
    failed_requests_count: bool = True
    generation_timeout_seconds: Annotated[int, Field(ge=1, le=86_400)] = 300
    #: Days that an ended request is kept; None keeps everything.
    request_retention_days: Annotated[int | None, Field(ge=1, le=36_500)] = None
    rescue_after_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    video_provider: Literal["sandbox", "veo"] = "sandbox"
    #: None: the one that the provider writes to.
    video_storage: Annotated[Literal["folder", "gcs"] | None, Field(validate_default=True)] = None
    output_dir: Path = Path("videos")
    sandbox_seconds: Annotated[float, Field(ge=0, le=86_400)] = 5
    sandbox_outcome: SandboxOutcome = SandboxOutcome.COMPLETED
    #: Dollars.
    sandbox_price_per_second: Annotated[Decimal, Field(ge=0, le=1000, decimal_places=4)] = Decimal(
        0
    )
    #: None: as many as come.
    sandbox_starts_per_minute: Annotated[int | None, Field(ge=1, le=10_000)] = None
    google_cloud_project: Annotated[str | None, Field(validate_default=True)] = None
    google_cloud_location: str = "us-central1"
    #: Of Vertex AI, where it is not Google's own.
    google_vertex_base_url: str | None = None
    #: The model of requests that name none.
    veo_model: str = "veo-3.1-fast-generate-001"
    #: Google's own limit of a project, a region and a base model.
    veo_starts_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 50
    gcs_bucket: Annotated[str | None, Field(validate_default=True)] = None
    #: How anybody gets to see a video: by an address that is signed for a while, or as it lies.
    gcs_links: Literal["signed", "public"] = "signed"

    @field_validator("video_storage")
    @classmethod
    def _is_the_providers(cls, storage: str | None, info: ValidationInfo) -> str:
        provider = info.data.get("video_provider", "sandbox")
        wanted = "gcs" if provider == "veo" else "folder"
        if storage not in (None, wanted):
            raise ValueError(f"must be {wanted} or unset, for {provider} writes nowhere else")
        return wanted

    @field_validator("google_cloud_project", "gcs_bucket")
    @classmethod
    def _is_there_for_veo(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("video_provider") == "veo":
            raise PydanticCustomError("missing", "is required")
        return value

    @field_validator("google_cloud_project", "google_cloud_location", "gcs_bucket")
    @classmethod
    def _is_a_name(cls, value: str | None) -> str | None:
        # It is put into addresses.
        if value is not None and not re.fullmatch(r"[A-Za-z0-9_.:-]+", value):
            raise ValueError("must be a name and nothing else, without gs://, slashes or spaces")
        return value

    @field_validator("gcs_bucket")
    @classmethod
    def _is_a_bucket(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{1,220}[a-z0-9]", name):
            raise ValueError(
                "must be a bucket's name: 3 to 222 small letters, digits, dashes, underscores "
                "and dots, the first and the last a letter or digit"
            )
        return name

    @field_validator("google_vertex_base_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is not None and not _ADDRESS.fullmatch(url):
            raise ValueError("must look like https://us-central1-aiplatform.googleapis.com")
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
    """How to reach Discord. A worker can do with an answer's own token, as long as that lives."""

    discord_token: SecretStr | None = None
    #: With its version, and without a slash at the end.
    discord_api_url: str = "https://discord.com/api/v10"

    @field_validator("discord_token")
    @classmethod
    def _is_one_word(cls, token: SecretStr | None) -> SecretStr | None:
        # What cannot stand in a header would be quoted in an error.
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("must be a bot's token, without spaces")
        return token

    @field_validator("discord_api_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if not _ADDRESS.fullmatch(url):
            raise ValueError("must look like https://discord.com/api/v10")
        return url.rstrip("/")


class LogSettings(Settings):
    """How a process logs.

    ``auto`` is ``console`` on a terminal and for a command that a person types, else ``json``.
    """

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
