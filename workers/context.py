"""The one place where a worker process is put together."""

from dataclasses import dataclass, field
from functools import cache

from db.engine import Database
from db.settings import DatabaseSettings, read
from workers import providers, storage
from workers.ceiling import Ceiling
from workers.providers import Provider
from workers.settings import DiscordSettings, WorkerSettings
from workers.storage import Storage


@dataclass(frozen=True, slots=True)
class Context:
    """What the steps of the chain work with."""

    settings: WorkerSettings
    database: Database
    provider: Provider
    storage: Storage
    discord: DiscordSettings = field(default_factory=lambda: read(DiscordSettings))
    ceiling: Ceiling = field(default_factory=Ceiling)


@cache
def context() -> Context:
    """This process's own, made at its first task: connections do not survive a fork."""
    settings = read(WorkerSettings)
    return Context(
        settings,
        Database(read(DatabaseSettings)),
        providers.load(settings),
        storage.load(settings),
    )
