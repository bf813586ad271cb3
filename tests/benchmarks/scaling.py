"""Long queues, worked off by one, two and four processes, while others are followed.

Every process is that of a worker of its own. The machine stays the same, and so do its processors.
What is queued has been admitted and waits to be started: of what is asked for at once all is
admitted first, for it is one queue. Of each length only a while is measured; what was taken is put
back before the next.
"""

import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Final

from sqlalchemy import delete, func, select, text

from db.states import Status
from db.tables import video_requests
from tests.benchmarks import usage
from tests.benchmarks.filling import access
from tests.benchmarks.ground import Ground
from tests.benchmarks.in_flight import lags, put
from tests.benchmarks.measuring import Comparison, Timing, log_to_nowhere
from tests.benchmarks.stage import stage, start_worker
from tests.workers.harness import System
from tests.workers.running import Worker
from tests.workers.waiting import until
from workers import chain
from workers.app import STARTING

WORKERS: Final = (1, 2, 4)
QUEUED: Final = (1_000, 10_000, 50_000)
FOR: Final = 15.0
"""Seconds that each combination is measured."""
SETTLING: Final = 3.0
"""Seconds of work before that."""
FOLLOWED: Final = 300
"""Operations under way meanwhile."""
MEDIAN: Final = 20.0
"""Seconds that half of them take."""
QUICK: Final = ((1,), (40,), 1.0, 0.0, 20, 1.0)

c = video_requests.c


def run(ground: Ground) -> list[Comparison]:
    """Time a request by throughput, and lag of a notice, against one process and few queued."""
    log_to_nowhere()
    workers, queued, seconds, settling, followed, median = (
        QUICK if ground.is_quick else (WORKERS, QUEUED, FOR, SETTLING, FOLLOWED, MEDIAN)
    )
    found: dict[tuple[int, int], tuple[float, list[float]]] = {}
    lot = random.Random(0)  # noqa: S311
    with stage(ground, "scaling") as system, system.broker.in_use():
        for length in queued:
            for number in workers:
                _fill(system, length)
                with _workers(system, number):
                    put(system, followed, median, lot)
                    time.sleep(settling)
                    rate, lagging, used = _measure(system, seconds)
                _forget(system)
                found[length, number] = rate, lagging
                ground.say(
                    f"{length:,} queued, {number} processes: {rate:.1f} requests in a second, "
                    f"notice after {statistics.median(lagging):.2f} s; {usage.told(used)}"
                )
    first = (queued[0], workers[0])
    return [
        comparison
        for (length, number), (rate, lagging) in found.items()
        for comparison in (
            Comparison(
                f"a request, {length:,} queued, {number} processes",
                Timing("", 1e6 / rate, 1e6 / rate),
                Timing("as the first", *2 * [1e6 / found[first][0]]),
            ),
            Comparison(
                f"notice, {length:,} queued, {number} processes",
                _lag("", lagging),
                _lag("as the first", found[first][1]),
                unit="s",
            ),
        )
    ]


_ADMITTED: Final = text(
    """
    INSERT INTO video_requests (
      user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
      provider, model, status, due_at
    )
    SELECT 'user ' || n, 'cli', 'cli', 'A lighthouse in a storm', 4, '16:9', '720p',
      'benchmark', 'benchmark', 'pending', now() + interval '1 hour'
    FROM generate_series(1, :count) AS n
    RETURNING id
    """
)


def _fill(system: System, length: int) -> None:
    """Have so many requests wait to be started."""
    count = length - system.broker.length(STARTING)
    with (
        closing(access(system.environment["DATABASE_URL"])) as database,
        database.begin() as conn,
    ):
        ids = conn.execute(_ADMITTED, {"count": count}).scalars().all()
    for each in ids:
        chain.resume(each, at="start_generation")


@contextmanager
def _workers(system: System, number: int) -> Iterator[None]:
    """So many workers of a process each, and all that they held is done when they end."""
    for _ in range(number):
        start_worker(system, concurrency=1)
    try:
        yield
    finally:
        for each in [each for each in system.processes if isinstance(each, Worker)]:
            each.terminate()
            each.wait()
            system.processes.remove(each)


def _measure(
    system: System, seconds: float
) -> tuple[float, list[float], Mapping[str, usage.Usage]]:
    """Requests completed in a second, the lags of notices, and what it takes of the machine."""
    end, begun, before = usage.begin(system), time.time(), _completed(system)

    def is_enough() -> bool:
        return (
            # Of a short queue nothing is left sooner.
            (time.time() - begun >= seconds or not system.broker.length(STARTING))
            and _completed(system) > before
            and bool(lags(system, since=begun))
        )

    until(is_enough, what="there is something to tell of", within=seconds + 60)
    rate = (_completed(system) - before) / (time.time() - begun)
    return rate, lags(system, since=begun), end()


def _completed(system: System) -> int:
    """Requests that came through the queue."""
    ended = select(func.count()).where(c.completed_at.is_not(None), c.created_at <= c.started_at)
    with system.database.autocommit() as conn:
        return int(conn.execute(ended).scalar_one())


def _forget(system: System) -> None:
    """Let nobody find those that were followed, and have not ended, much later."""
    theirs = c.status == Status.GENERATING, c.created_at > c.started_at
    with system.database.autocommit() as conn:
        conn.execute(delete(video_requests).where(*theirs))


def _lag(name: str, taken: list[float]) -> Timing:
    return Timing(name, statistics.median(taken), sorted(taken)[int(0.95 * len(taken))])
