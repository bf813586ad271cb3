"""All there is: servers of its own, a Google, a Discord, and our processes in between.

Videos are made by the provider `veo`, take a second or a few and cost nothing to make. Nothing in
the product knows of it; what a test learns it learns from Google, Discord, the rows and the logs.
"""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any, Final

import psutil

from tests.e2e.bot.studio import COMMANDS
from tests.e2e.discord import FakeDiscord, fake_discord
from tests.e2e.google.clip import clip
from tests.e2e.google.studio import Google, google
from tests.faults import servers
from tests.faults.servers import Server
from tests.workers.harness import System, new_system
from tests.workers.running import Process, Worker
from tests.workers.waiting import PATIENCE

TIMEOUT: Final = 20
"""Seconds that a request is given, if nothing else is said; a wait for Vertex AI has a tenth."""
RESCUE_AFTER: Final = 2
"""Seconds."""
LARGE: Final = bytes(10 * 2**20)
"""A video that Discord does not take: it is linked. One for all, for it is much memory."""
FULL_LENGTH: Final = "at full length"
"""What the prompt of a large one ends with."""


@dataclass(frozen=True)
class Befallen:
    """An accident that has happened, by the monotonic clock."""

    name: str
    begun: float
    over: float


@dataclass
class Bot:
    """One bot after another; it has no end here unless it is killed. By the monotonic clock."""

    process: Process
    begun: float
    killed_at: float | None = None


class Stage:
    """What a test holds in its hands."""

    def __init__(
        self,
        system: System,
        postgres: Server,
        redis: Server,
        there: Google,
        discord: FakeDiscord,
        *,
        workers: int,
    ) -> None:
        self.system = system
        self.postgres = postgres
        self.redis = redis
        self.google = there
        self.discord = discord
        self.numbers = count(1)
        #: The oldest first.
        self.accidents: list[Befallen] = []
        self.bots: list[Bot] = []
        # They take their time, side by side.
        self.start_beat()
        self._launch_bot()
        for _ in range(workers):
            self.start_worker()
        self._wait_for_bot()

    @property
    def bot(self) -> Process:
        """The latest."""
        return self.bots[-1].process

    @property
    def daily_limit(self) -> int:
        """Of each user."""
        return int(self.system.environment["DAILY_LIMIT"])

    @property
    def timeout(self) -> int:
        """Seconds that a request is given."""
        return int(self.system.environment["GENERATION_TIMEOUT_SECONDS"])

    @property
    def workers(self) -> list[Worker]:
        """Those that run, the oldest first."""
        found = self.system.processes
        return [each for each in found if isinstance(each, Worker) and each.status is None]

    @property
    def beats(self) -> list[Process]:
        """Those that run."""
        others = {self.bot, *self.workers}
        return [
            each for each in self.system.processes if each.status is None and each not in others
        ]

    def start_worker(self, **environment: Any) -> Worker:
        """One more, ready."""
        return self.system.start_worker(**environment)

    def start_beat(self) -> Process:
        """One more."""
        return self.system.start_beat()

    def start_bot(self) -> None:
        """The one bot, serving; a former one has ended."""
        self.discord.gateway.wait_until_gone()
        self._launch_bot()
        self._wait_for_bot()

    def kill_bot(self) -> None:
        """It dies, and nobody listens until another is started."""
        self.bots[-1].killed_at = time.monotonic()
        self.bot.kill()

    @contextmanager
    def befalling(self, name: str) -> Iterator[None]:
        """Note that this happens in the block."""
        begun = time.monotonic()
        try:
            yield
        finally:
            self.accidents.append(Befallen(name, begun, time.monotonic()))

    def _launch_bot(self) -> None:
        log = self.system.folder / f"bot-{len(self.system.processes) + 1}.log"
        bot = Process(["bot"], self.system.environment, log)
        self.system.processes.append(bot)
        self.bots.append(Bot(bot, time.monotonic()))

    def _wait_for_bot(self) -> None:
        self.discord.gateway.wait_until_connected(within=2 * PATIENCE)
        self.discord.wait_for_commands(*COMMANDS)

    def stop(self) -> None:
        """Ask every process to end, as an operator does, and wait until it has."""
        running = [each for each in self.system.processes if each.status is None]
        for each in running:
            each.terminate()
        for each in running:
            has_ended(each, within=2 * PATIENCE)

    def orphans(self) -> list[psutil.Process]:
        """What lives on of processes that have ended: each began a session of its own."""
        ended = {each.pid for each in self.system.processes if each.status is not None}
        found = []
        for pid in psutil.pids():
            with suppress(ProcessLookupError, PermissionError, psutil.Error):
                process = psutil.Process(pid)
                if os.getsid(pid) in ended and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found


def has_ended(process: Process, *, within: float) -> None:
    """Wait until a process has ended that was told to; one that does not says where it stands."""
    try:
        process.wait(within=within)
    except TimeoutExpired:
        os.kill(process.pid, signal.SIGABRT)
        process.wait()
        raise AssertionError(f"It does not end:\n{process.log[-5000:]}") from None


def film(prompt: str) -> bytes:
    """A video that no other prompt has, or one that is too large to be attached."""
    if prompt.endswith(FULL_LENGTH):
        return LARGE
    told = prompt.encode()
    # A box that every player skips.
    return clip() + (8 + len(told)).to_bytes(4, "big") + b"free" + told


@contextmanager
def new_stage(*, workers: int = 2, **environment: object) -> Iterator[Stage]:
    """A stage for the block, on which all goes well so far."""
    with ExitStack() as stack:
        place = tempfile.TemporaryDirectory(prefix="video-bot-faults-")
        folder = Path(stack.enter_context(place))
        postgres = stack.enter_context(servers.postgres(folder))
        there = stack.enter_context(google(folder))
        there.vertex.film = film
        discord = stack.enter_context(fake_discord())
        given = {
            **there.environment,
            "DISCORD_API_URL": discord.url,
            "DISCORD_TOKEN": discord.token,
            "DAILY_LIMIT": 5,
            "GENERATION_TIMEOUT_SECONDS": TIMEOUT,
            "RESCUE_AFTER_SECONDS": RESCUE_AFTER,
            "VEO_STARTS_PER_MINUTE": 10_000,
            "PYTHONFAULTHANDLER": 1,
            **environment,
        }
        system = stack.enter_context(new_system(folder / "system", postgres.url, **given))
        redis = stack.enter_context(servers.keeping(system.broker.url))
        yield Stage(system, postgres, redis, there, discord, workers=workers)
        assert not discord.unexpected
