"""How long it takes until all goes on when something has died.

Requests are under way when it dies, some of them in its hands. It is counted from there until one
that is asked for afterwards is completed, and until the last of those under way has ended.
"""

import os
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

import psutil
from redis import Redis
from sqlalchemy import text

from db import processes
from db.errors import DatabaseUnavailable
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Timing, log_to_nowhere
from tests.benchmarks.stage import RESCUE_AFTER, completions, somebodys, stage, start_worker
from tests.workers.harness import System
from tests.workers.running import Worker
from tests.workers.waiting import until
from workers import chain
from workers.app import VISIBILITY_TIMEOUT
from workers.chain import BrokerUnavailable

TASKS: Final = 2
"""That a worker runs at once."""
UNDER_WAY: Final = 20
"""Requests that are asked for at once, before it dies."""
DONE: Final = 5
"""Of these, the ones that are completed when it does."""
ASK_EVERY: Final = 0.2
"""Seconds."""
CALL: Final = 10
"""Seconds of the paid call."""
TIMEOUT: Final = CALL + RESCUE_AFTER
"""Seconds after which a call is given up that nobody has made: who had claimed it died before."""
AWAY: Final = 2 * RESCUE_AFTER
"""Seconds for which the sweeper waits after an outage of Postgres."""
SLACK: Final = 10
"""Seconds that all the rest may take."""
GRACE: Final = 20.0


@dataclass(frozen=True)
class Victim:
    """What dies, and the seconds after which nothing under way may have suffered any more."""

    name: str
    kill: Callable[[System, ExitStack], None]
    within: int
    workers: int = 1


def run(ground: Ground) -> list[Comparison]:
    """Each dies once, with the delays of the product."""
    log_to_nowhere()
    found = []
    with ExitStack() as stack:
        system = stack.enter_context(stage(ground, "recovery", GENERATION_TIMEOUT_SECONDS=TIMEOUT))
        stack.enter_context(system.broker.in_use())
        _keep_data(system)
        system.start_beat()
        for victim in VICTIMS[:1] if ground.is_quick else VICTIMS:
            after, last = _recover(system, victim, stack)
            ground.say(
                f"{victim.name}: the next after {after:.1f} s, the last after {last:.1f} s; "
                f"{_given_up(system)} given up so far"
            )
            limit = Timing("at most", float(victim.within), float(victim.within))
            found += [
                Comparison(f"{victim.name}, the next", Timing("", after, after), limit, 1.0, "s"),
                Comparison(f"{victim.name}, the last", Timing("", last, last), limit, 1.0, "s"),
            ]
    return found


def _recover(system: System, victim: Victim, stack: ExitStack) -> tuple[float, float]:
    """Seconds from the death to the end of a new request, and of the last old one."""
    while sum(isinstance(each, Worker) for each in system.processes) < victim.workers:
        start_worker(system, concurrency=TASKS)
    old = [_ask() for _ in range(UNDER_WAY)]
    until(lambda: len(completions(system, old)) >= DONE, what="some are completed")
    died = time.time()
    victim.kill(system, stack)
    new: list[UUID] = []

    def is_one_completed() -> bool:
        with suppress(BrokerUnavailable):
            new.append(_ask())
        time.sleep(ASK_EVERY)
        with suppress(DatabaseUnavailable):
            return bool(completions(system, new))
        return False

    until(is_one_completed, what="a new one is completed", within=victim.within + SLACK)
    after = min(completions(system, new).values())
    until(
        lambda: len(completions(system, old + new)) == len(old + new),
        what="all have ended",
        within=2 * VISIBILITY_TIMEOUT,
    )
    return after - died, max(completions(system, old).values()) - died


def _given_up(system: System) -> int:
    """How many nobody has called for, since who had claimed them died before."""
    timed_out = text("SELECT count(*) FROM video_requests WHERE status = 'timeout'")
    with system.database.autocommit() as conn:
        return int(conn.execute(timed_out).scalar_one())


def _ask() -> UUID:
    new = somebodys()
    chain.enqueue(new)
    return new.id


def _keep_data(system: System) -> None:
    """Have Redis keep its messages on the disk, as it should where it counts."""
    with Redis.from_url(system.broker.url) as client:
        client.config_set("appendonly", "yes")


def _child(system: System, _stack: ExitStack) -> None:
    os.kill(min(system.worker.children()), signal.SIGKILL)


def _worker(system: System, _stack: ExitStack) -> None:
    worker = system.worker
    worker.kill()
    system.processes.remove(worker)


def _worker_and_start(system: System, stack: ExitStack) -> None:
    _worker(system, stack)
    start_worker(system, concurrency=TASKS)


def _beat(system: System, _stack: ExitStack) -> None:
    [beat] = [each for each in system.processes if not isinstance(each, Worker)]
    beat.kill()


def _redis(system: System, stack: ExitStack) -> None:
    server = system.broker.server()
    command = [server.exe(), str(system.folder / "redis" / "redis.conf"), "--appendonly", "yes"]
    _restart(system, server, signal.SIGTERM, command, None, stack)


def _postgres(system: System, stack: ExitStack) -> None:
    with system.database.autocommit() as conn:
        [own] = conn.execute(text("SELECT pg_backend_pid()")).scalars()
    server = psutil.Process(own).parents()[0]
    # As in a crash: what it has written it reads again from its log.
    user = processes.unprivileged_account()
    _restart(system, server, signal.SIGQUIT, server.cmdline(), user, stack)


def _restart(
    system: System,
    server: psutil.Process,
    by: signal.Signals,
    command: list[str],
    user: processes.Account | None,
    stack: ExitStack,
) -> None:
    environment, folder = server.environ(), Path(server.cwd())
    server.send_signal(by)
    server.wait(GRACE)
    with (system.folder / "restarted.log").open("ab") as log:
        again = processes.spawn(
            command, env=environment, cwd=folder, user=user, stdout=log, stderr=log
        )
    stack.callback(processes.stop, again, first=signal.SIGINT, grace=GRACE)


VICTIMS: Final = (
    Victim("beat", _beat, SLACK),
    Victim("pool child", _child, TIMEOUT + SLACK),
    Victim("Redis, restarted", _redis, RESCUE_AFTER + SLACK),
    Victim("Postgres, restarted", _postgres, AWAY + RESCUE_AFTER + SLACK),
    Victim("only worker, restarted", _worker_and_start, VISIBILITY_TIMEOUT + SLACK),
    Victim("worker beside another", _worker, VISIBILITY_TIMEOUT + SLACK, workers=2),
)
