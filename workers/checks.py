"""Whether all that an installation needs is there: one check for each thing."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from typing import Final
from urllib.error import HTTPError
from urllib.request import urlopen
from uuid import uuid4

from db import probe
from db.errors import DatabaseError, DatabaseUnavailable
from db.probe import Probe
from db.settings import DatabaseSettings, SettingsError, read, read_part
from workers import broker, discord, providers, remedies, retirement, storage
from workers.discord import DiscordError, Rejected
from workers.errors import BrokerUnavailable
from workers.findings import Look, NotLookedAt, Well, Wrong
from workers.providers import NotReady, Provider
from workers.settings import BrokerSettings, DiscordSettings, WorkerSettings
from workers.storage import MARKER, Storage, StorageUnavailable

DATABASE_WITHIN: Final = timedelta(seconds=5)
BROKER_PATIENCE: Final = 3.0
"""Seconds, to connect and for each answer."""
LINK_PATIENCE: Final = 3.0
"""Seconds, to connect and for each answer."""
SLACK: Final = timedelta(seconds=5)
"""How far clocks may be apart: signed addresses and tokens hold from one time to another."""

#: What each look needs to be right.
_STORAGE: Final = (
    "video_provider",
    "video_storage",
    "output_dir",
    "google_cloud_project",
    "gcs_bucket",
    "gcs_links",
)
_PROVIDER: Final = (
    "video_provider",
    "generation_timeout_seconds",
    "sandbox_seconds",
    "sandbox_outcome",
    "sandbox_price_per_second",
    "sandbox_starts_per_minute",
    "google_cloud_project",
    "google_cloud_location",
    "google_vertex_base_url",
    "veo_model",
    "veo_starts_per_minute",
    "gcs_bucket",
)
_REACH_DISCORD: Final = "Let this machine reach DISCORD_API_URL"


def database() -> Well:
    """Postgres answers, and is new enough."""
    settings = _of_database()
    try:
        with Probe(settings).connect(DATABASE_WITHIN) as conn:
            return Well(f"PostgreSQL {probe.version(conn)}")
    except DatabaseUnavailable as error:
        told = f"{error} ({settings.address})"
        raise Wrong(told, remedies.of_database(str(error))) from None
    except DatabaseError as error:
        raise Wrong(str(error), "See db/README.rst for a server that will do") from None


def migrations() -> Well:
    """All are applied."""
    try:
        with Probe(_of_database()).connect(DATABASE_WITHIN) as conn:
            pending = probe.pending_migrations(conn)
    except DatabaseError as error:
        raise Wrong(f"cannot be asked for: {error}", "See to the database first") from None
    if pending:
        raise Wrong(f"pending: {', '.join(pending)}", "video-bot db migrate")
    return Well("all are applied")


def redis() -> Well:
    """It answers, and throws no message away."""
    address = read(BrokerSettings).redis_url.get_secret_value()
    try:
        server = broker.server(address, patience=BROKER_PATIENCE)
    except BrokerUnavailable as error:
        raise Wrong(str(error), remedies.of_redis(str(error))) from None
    if server.eviction != "noeviction":
        raise Wrong(
            f"Redis {server.version} throws messages away when it is full: its maxmemory-policy "
            f"is {server.eviction}",
            "Set maxmemory-policy to noeviction",
        )
    return Well(f"Redis {server.version}, {server.eviction}")


def named_storage() -> Storage:
    """The storage that the settings name. Raises SettingsError."""
    return storage.load(read_part(WorkerSettings, _STORAGE))


def videos() -> Well:
    """The storage lets a mark be made, found and removed; lists; and what it links to opens."""
    settings = read_part(WorkerSettings, _STORAGE)
    name = str(settings.video_storage)
    where = f"gs://{settings.gcs_bucket}" if name == "gcs" else settings.output_dir.absolute()
    try:
        with remedies.as_it_was(settings.output_dir):
            is_exclusive, link = _try_out(named_storage())
    except StorageUnavailable as error:
        raise Wrong(str(error), remedies.of_storage(settings, str(error))) from None
    if not is_exclusive:
        raise Wrong(
            f"{name} does not tell the first mark from the second, so a video could be paid twice",
            "Use a storage that honours conditions (if_generation_match, O_EXCL)",
        )
    opened = "" if link is None else ", opened by a link"
    return Well(f"{name} {where}: a mark was written, found{opened} and removed")


def _try_out(found: Storage) -> tuple[bool, str | None]:
    """Whether of two marks at a place of its own one is made, and a link that opens it."""
    request_id = uuid4()
    prefix = found.prefix_for(request_id)
    try:
        marks = [found.create_marker(prefix, uuid4()) for _ in range(2)]
        found.outputs(prefix)
        link = found.link(f"{prefix}{MARKER}")
        if link is not None:
            _open(link)
    except (StorageUnavailable, Wrong):
        with suppress(StorageUnavailable):
            found.remove(request_id, prefix)
        raise
    found.remove(request_id, prefix)
    return marks == [True, False], link


def _open(link: str) -> None:
    """Do as a user with the link. Raises Wrong, which does not tell it."""
    try:
        with urlopen(link, timeout=LINK_PATIENCE) as answer:  # noqa: S310 -- our own address
            answer.read()
    except HTTPError as error:
        code = re.search(rb"<Code>(\w+)</Code>", error.read(1000))
        why = f"{error.code} {code[1].decode()}" if code else str(error.code)
        raise Wrong(f"a link was made, and does not open: {why}", remedies.LINK) from None
    except (HTTPException, OSError) as error:
        why = type(error).__name__
        raise Wrong(f"a link was made, and cannot be tried: {why}", remedies.LINK) from None


def named_provider() -> Provider:
    """The provider that the settings name. Raises SettingsError."""
    return providers.load(read_part(WorkerSettings, _PROVIDER))


def provider() -> Well:
    """It can be asked for videos."""
    try:
        return Well(named_provider().probe())
    except NotReady as error:
        raise Wrong(str(error), error.remedy) from None


def model() -> Well:
    """Those that may be asked for stay a while."""
    found = named_provider()
    warning = retirement.warning(found)
    if warning is None:
        return Well(f"none is to be retired in the next {retirement.NOTICE.days} days")
    return Well(warning, retirement.remedy(found))


def token() -> Well:
    """Discord knows it. Without one there is no bot, which an installation may want."""
    settings = read(DiscordSettings)
    if settings.discord_token is None:
        return Well("DISCORD_TOKEN is not set, so there is no bot")
    try:
        return Well(f"it is that of {discord.name_of(settings)}")
    except Rejected as error:
        if error.status != 401:
            raise Wrong(str(error), _REACH_DISCORD) from None
        remedy = 'Take the token that the developer portal shows under "Bot"'
        raise Wrong("Discord does not know this DISCORD_TOKEN", remedy) from None
    except DiscordError as error:
        raise Wrong(str(error), _REACH_DISCORD) from None


def clock() -> Well:
    """This machine's agrees with those of the others, as far as they can be asked."""
    asked: dict[str, Callable[[], datetime]] = {"the database": _time_of_database}
    if read(DiscordSettings).discord_token is not None:
        asked["Discord"] = _time_of_discord
    agreeing = []
    for who, ask in asked.items():
        before = datetime.now(UTC)
        try:
            theirs = ask()
        except (SettingsError, DatabaseError, DiscordError):
            # Another check tells of that.
            continue
        took = datetime.now(UTC) - before
        ahead = before + took / 2 - theirs
        if abs(ahead) > SLACK + took / 2:
            how = "ahead of" if ahead > timedelta(0) else "behind"
            raise Wrong(
                f"this machine is {abs(ahead).total_seconds():,.0f} s {how} {who}",
                "Have the clocks set by NTP",
            )
        agreeing.append(who)
    if not agreeing:
        remedy = f"See to {' and '.join(asked)} first"
        raise NotLookedAt("nobody tells the time to compare it with", remedy)
    return Well(f"it agrees with {' and '.join(agreeing)}")


def _time_of_database() -> datetime:
    with Probe(_of_database()).connect(DATABASE_WITHIN) as conn:
        return probe.now(conn)


def _of_database() -> DatabaseSettings:
    return read_part(DatabaseSettings, ["database_url"])


def _time_of_discord() -> datetime:
    # It tells whole seconds.
    return discord.now(read(DiscordSettings)) + timedelta(seconds=0.5)


LOOKS: Final[Mapping[str, Look]] = {
    "database": database,
    "migrations": migrations,
    "redis": redis,
    "storage": videos,
    "provider": provider,
    "model": model,
    "discord": token,
    "clock": clock,
}
"""Everything, by name."""
