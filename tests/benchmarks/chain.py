"""The chain of a request against a chain of four links that do nothing.

The broker is the same Redis, each side has a worker with as many processes and the same options,
and the one whose turn it is not stands still. A request is one of the command line, for nobody
waits for it in Discord: what comes after the fourth link is another's speed.
"""

import json
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from kombu import pools
from redis import Redis

from tests.benchmarks import bare
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Timing, log_to_nowhere
from tests.benchmarks.stage import completions, somebodys, stage, start_worker
from tests.workers.broker import QUEUES
from tests.workers.harness import System
from tests.workers.running import Worker
from tests.workers.waiting import until
from workers import chain
from workers.app import HOUSEKEEPING, app

CONCURRENCY: Final = 2
AT_ONCE: Final = 200
"""Chains that wait in the queue when a turn begins."""
TURNS: Final = 8
SAMPLES: Final = 100
"""Chains of each side that go alone."""
THROUGHPUT: Final = 0.6
LATENCY: Final = 1.7

#: What makes a worker of Celery's what ours is, but for the broker, the tasks and the schedule.
SAME: Final = (
    "broker_connection_retry_on_startup",
    "broker_transport_options",
    "task_acks_late",
    "task_reject_on_worker_lost",
    "task_acks_on_failure_or_timeout",
    "task_time_limit",
    "task_ignore_result",
    "task_serializer",
    "accept_content",
    "task_send_sent_event",
    "worker_send_task_events",
    "worker_prefetch_multiplier",
    "worker_soft_shutdown_timeout",
    "timezone",
)


class BareWorker(Worker):
    """A worker of the application that does nothing."""

    module = "tests.benchmarks.bare"


@dataclass(frozen=True)
class _Side:
    worker: Worker
    client: Redis
    #: Publishes one chain, and tells what it is called.
    send: Callable[[], Any]
    #: When each of these chains ended that did, in seconds since the epoch.
    ends: Callable[[Sequence[Any]], Mapping[Any, float]]

    def wait_for(self, sent: Sequence[Any]) -> list[float]:
        """When these ended, as soon as all have."""

        def all_ended() -> Mapping[Any, float]:
            # Asking Redis costs both sides the same.
            found = self.ends(sent) if self._is_quiet() else {}
            return found if len(found) == len(sent) else {}

        found = until(all_ended, what="all chains have ended", within=120)
        return [found[each] for each in sent]

    def _is_quiet(self) -> bool:
        with self.client.pipeline(transaction=True) as pipe:
            for queue in {*QUEUES} - {HOUSEKEEPING}:
                pipe.llen(queue)
            pipe.hlen("unacked")
            return not any(pipe.execute())


def run(ground: Ground) -> list[Comparison]:
    """The time a chain by throughput, and from publishing to the end where it goes alone."""
    log_to_nowhere()
    turns, at_once, samples = (1, 20, 5) if ground.is_quick else (TURNS, AT_ONCE, SAMPLES)
    with _sides(ground) as sides:
        for side in sides:
            # Connections, plans, caches.
            side.wait_for([side.send() for _ in range(at_once // 2)])
        together: list[list[float]] = [[], []]
        for turn in range(turns):
            for taken, side, other in zip(together, sides, reversed(sides), strict=True):
                other.worker.freeze()
                taken.append(_drain(side, at_once))
                other.worker.thaw()
            ours, theirs = (at_once * 1e6 / taken[-1] for taken in together)
            ground.say(f"turn {turn + 1}: {ours:.0f} chains a second, bare {theirs:.0f}")
        alone: list[list[float]] = [[], []]
        for _ in range(samples):
            for taken, side in zip(alone, sides, strict=True):
                begun = time.time()
                [end] = side.wait_for([side.send()])
                taken.append((end - begun) * 1e6)
    return [
        Comparison(
            "chain among many, a chain",
            _timing("chain", [each / at_once for each in together[0]]),
            _timing("bare chain", [each / at_once for each in together[1]]),
            1 / THROUGHPUT,
        ),
        Comparison(
            "chain alone, to its end",
            _timing("chain", alone[0]),
            _timing("bare chain", alone[1]),
            LATENCY,
        ),
    ]


def _drain(side: _Side, number: int) -> float:
    """Microseconds in which so many waiting chains come to their end."""
    side.worker.freeze()
    sent = [side.send() for _ in range(number)]
    begun = time.time()
    side.worker.thaw()
    return (max(side.wait_for(sent)) - begun) * 1e6


@contextmanager
def _sides(ground: Ground) -> Iterator[tuple[_Side, _Side]]:
    """Ours, and the bare one on another database of the same Redis."""
    with ExitStack() as stack:
        system = stack.enter_context(stage(ground, "chain"))
        worker = start_worker(system, concurrency=CONCURRENCY)
        client = stack.enter_context(closing(Redis.from_url(system.broker.url)))
        bare_side = stack.enter_context(_bare_side(system))
        stack.enter_context(system.broker.in_use())

        def send() -> object:
            new = somebodys()
            chain.enqueue(new)
            return new.id

        ours = _Side(worker, client, send, lambda ids: completions(system, [*ids]))
        yield ours, bare_side


@contextmanager
def _bare_side(system: System) -> Iterator[_Side]:
    url = f"{system.broker.url.rpartition('/')[0]}/2"
    ends = system.folder / "ends"
    options = {name: app.conf[name] for name in SAME} | {
        "broker_url": url,
        "task_queues": QUEUES,
        "task_default_queue": app.conf["task_default_queue"],
        "task_routes": {name: app.conf["task_routes"][name] for name in bare.LINKS},
    }
    given = {"BARE_OPTIONS": json.dumps(options), "BARE_ENDS": str(ends)}
    worker = BareWorker(
        system.environment | given, system.folder / "bare.log", concurrency=CONCURRENCY
    )
    system.processes.append(worker)
    bare.configure(options)
    numbers = count()
    with (
        closing(Redis.from_url(url)) as client,
        pools.connections[bare.app.connection_for_write(url)].acquire() as connection,
    ):

        def send() -> str:
            number = str(next(numbers))
            bare.links(number).apply_async(connection=connection, retry=False)
            return number

        yield _Side(worker, client, send, lambda sent: _noted(ends, {*sent}))


def _noted(ends: Path, sent: Collection[str]) -> dict[str, float]:
    noted = map(str.split, ends.read_text().splitlines())
    return {number: float(at) for number, at in noted if number in sent}


def _timing(name: str, taken: Sequence[float]) -> Timing:
    return Timing(name, statistics.median(taken), sorted(taken)[int(0.95 * len(taken))])
