"""Everything that a request touches, and a worker that is killed while it touches it.

The worker has a single child, so that whoever is at the place that the test watches is known.
"""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import psutil

from db import limits
from tests.e2e.delivery import Asked, Studio, new_studio
from tests.e2e.discord import FakeDiscord, When, fake_discord
from tests.e2e.google.studio import Google, veo_studio
from tests.e2e.google.traffic import Traffic
from tests.faults.gates import Gates
from tests.faults.points import Death, Point
from tests.faults.relay import Relay, relay
from tests.killing import survivors
from tests.workers.conftest import MakeSystem
from tests.workers.running import Worker
from tests.workers.waiting import until

Reached = Callable[[], None]
"""Waits until somebody is at the place, and makes sure who."""


class Victim(StrEnum):
    """Who is killed."""

    CHILD = "pool child"
    #: Its child goes with it.
    WORKER = "worker"


@dataclass
class Scene:
    """One system and all that it speaks to."""

    studio: Studio
    gates: Gates
    way: Relay
    victim: Victim
    worker: Worker

    def kill(self) -> None:
        """SIGKILL the one who is at it; somebody else goes on."""
        children = self.worker.children()
        assert len(children) == 1, self.worker.log
        [child] = children
        if self.victim is Victim.CHILD:
            os.kill(child, signal.SIGKILL)
            return
        orphan = psutil.Process(child)
        os.kill(self.worker.pid, signal.SIGKILL)
        self.worker.wait()
        assert not survivors([orphan])
        self.worker = self.start_worker()

    def start_worker(self) -> Worker:
        """One more."""
        return self.studio.system.start_worker(concurrency=1, REDIS_URL=self.way.url)

    def ask(self, name: str = "ana", **changes: Any) -> Asked:
        """A request of a new person."""
        discord = self.studio.discord
        return self.studio.ask(discord.new_person(name, discord.new_guild()), **changes)

    def admit(self, name: str = "ana", **changes: Any) -> Asked:
        """The same, accepted, and its message lost."""
        discord = self.studio.discord
        return self.studio.admit(discord.new_person(name, discord.new_guild()), **changes)

    def assert_speaks(self, line: int | None) -> None:
        """That it is the worker's child who is at that end of a connection."""
        [child] = self.worker.children()
        assert line in {each.laddr.port for each in psutil.Process(child).net_connections()}

    @contextmanager
    def calling(
        self, traffic: Traffic, pattern: str, *, is_after: bool, is_direct: bool = True
    ) -> Iterator[Reached]:
        """The next such call to one of Google's services: not done yet, or not answered."""
        fault = traffic.hang(pattern, is_after=is_after)

        def is_reached() -> None:
            until(lambda: fault.reached == 1, what=f"{pattern} is held")
            if is_direct:
                self.assert_speaks(fault.line)

        yield is_reached
        traffic.release_all()
        # It is carried out, though nobody waits for it any more; and meets nothing else.
        until(lambda: all(each.status for each in traffic.calls(pattern)), what="it is over")

    @contextmanager
    def saying(self, route: str, when: When, *, is_upload: bool = False) -> Iterator[Reached]:
        """The next such request to Discord: not applied yet, or not answered."""
        faults, ledger = self.studio.discord.faults, self.studio.discord.ledger
        fault = faults.hang(route, when=when, only_uploads=is_upload)

        def is_reached() -> None:
            fault.wait_until_reached()
            self.assert_speaks(fault.line)

        yield is_reached
        fault.release()
        over = lambda it: all(each.status is not None for each in it.entries(route))  # noqa: E731
        ledger.wait_for(over, "it is over")

    @contextmanager
    def publishing(self, task: str, when: Death, *words: str) -> Iterator[Reached]:
        """The next message with this task, on its way to Redis."""
        with self.way.held("LPUSH", f'"task": "{task}"', *words, when=when) as hold:

            def is_reached() -> None:
                line = hold.wait()
                [child] = self.worker.children()
                assert line in {each.laddr.port for each in psutil.Process(child).net_connections()}

            yield is_reached

    @contextmanager
    def writing(self, point: Point, death: Death = Death.BEFORE) -> Iterator[Reached]:
        """A write, of marked requests only where it is about requests."""
        with self.gates.closed(point, death) as gate:
            waiting: dict[int, int] = {}

            def is_reached() -> None:
                waiting.update(gate.wait_for(1))
                assert set(waiting.values()) == self.worker.children()
                if death is Death.AFTER:
                    gate.let_write(waiting)

            yield is_reached
            if death is Death.BEFORE:
                # Postgres would notice a client's death only after the write.
                gate.drop(waiting)

    def wait_until_delivered(self, asked: Asked, *, within: float) -> None:
        """Until its answer is there, and that is written."""
        system = self.studio.system
        system.wait_for_row(asked.id, lambda row: row.delivered_at is not None, within=within)

    def used(self, asked: Asked) -> int:
        """How many places of the limit the person's requests take."""
        with self.studio.system.database.autocommit() as conn:
            user = self.studio.system.row(asked.id).user_id
            return limits.get_rate_limit_info(conn, user, 100).used


@contextmanager
def scene(make_system: MakeSystem, victim: Victim, **environment: object) -> Iterator[Scene]:
    """A scene with its worker, for the block."""
    with ExitStack() as stack:
        studio = new_studio(stack, make_system, _discord(stack), **environment)
        yield _begun(stack, studio, victim)


@contextmanager
def scene_at_google(
    make_system: MakeSystem, victim: Victim, folder: Path, **environment: object
) -> Iterator[tuple[Scene, Google]]:
    """A scene whose videos are made by Veo, and lie in Cloud Storage."""
    with ExitStack() as stack:
        there, studio = veo_studio(stack, make_system, _discord(stack), folder, **environment)
        yield _begun(stack, studio, victim), there


def _discord(stack: ExitStack) -> FakeDiscord:
    discord = stack.enter_context(fake_discord())

    @stack.callback
    def _end() -> None:
        assert not discord.unexpected

    return discord


def _begun(stack: ExitStack, studio: Studio, victim: Victim) -> Scene:
    system = studio.system
    gates = stack.enter_context(closing(Gates(system.environment["DATABASE_URL"])))
    way = stack.enter_context(relay(system.environment["REDIS_URL"]))
    worker = system.start_worker(concurrency=1, REDIS_URL=way.url)

    # Before the way is gone.
    @stack.callback
    def _end() -> None:
        for process in system.processes:
            process.kill()

    return Scene(studio, gates, way, victim, worker)
