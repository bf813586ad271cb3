"""Thousands of operations under way at once, each to be noticed soon after its result is there.

As many as end are put in their place, so that their number stays. They are put there as rows: what
is measured is following, and not admission. Such requests have been completed before, so that
workers ask by what was learned.
"""

import random
import statistics
import time
from typing import Final

import psutil
from sqlalchemy import func, select, text

from db.states import Status
from db.tables import video_requests
from tests.benchmarks import usage
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Timing, log_to_nowhere
from tests.benchmarks.provider import draw, operation_name
from tests.benchmarks.stage import stage, start_worker
from tests.workers.harness import System
from tests.workers.waiting import until

RUNNING: Final = 5_000
MEDIAN: Final = 70.0
"""Seconds that half of the operations take."""
TASKS: Final = 2 * (psutil.cpu_count() or 1)
"""That run at once: as many as a worker runs that is not told otherwise."""
PLANNED: Final = 130.0 * (1 + TASKS) * 1e6 / usage.MEBIBYTE
"""MiB, as workers/README.rst tells to plan."""
FOR: Final = 150.0
"""Seconds that their number is kept."""
SETTLING: Final = 15.0
"""Of these, seconds at the beginning whose notices do not count."""
QUICK: Final = (50, 1.0, 4.0, 1.0)
REFILL: Final = 0.5
"""Seconds between one look at how many are left and the next."""
HALF: Final = 3.0
NEARLY_ALL: Final = 8.0
"""Seconds after the result in which half and 99 of 100 are to be noticed."""

c = video_requests.c

#: `begun` is in seconds since the epoch. They are asked about from now on, not all at once.
_PUT: Final = text(
    """
    INSERT INTO video_requests (
      user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution,
      provider, model, status, claim, claimed_at, started_at, operation_name, gcs_prefix, due_at
    )
    SELECT
      'user', 'cli', 'cli', 'A lighthouse in a storm', 4, '16:9', '720p',
      'benchmark', 'benchmark', 'generating', gen_random_uuid(), to_timestamp(begun),
      to_timestamp(begun), name, :prefix, now() + random() * interval '5 seconds'
    FROM unnest(CAST(:begun AS float[]), CAST(:names AS text[])) AS operation(begun, name)
    """
)
#: Of those that were put there, and were never created.
_LAGS: Final = text(
    """
    SELECT extract(epoch FROM completed_at) - split_part(operation_name, '/', 2)::float
    FROM video_requests
    WHERE status = 'completed'
      AND completed_at > to_timestamp(:since)
      AND created_at > started_at
      AND operation_name IS NOT NULL
    """
)


def run(ground: Ground) -> list[Comparison]:
    """The lag from a result to the row's completion, and what all of it takes of the machine."""
    log_to_nowhere()
    number, median, seconds, settling = (
        QUICK if ground.is_quick else (RUNNING, MEDIAN, FOR, SETTLING)
    )
    with stage(ground, "in_flight", median=median) as system:
        lot = random.Random(0)  # noqa: S311
        start_worker(system, concurrency=TASKS)
        put(system, number, median, lot)
        ground.say(f"{number:,} are under way")
        begun = time.time()
        _keep(system, number, median, lot, deadline=begun + settling)
        end = usage.begin(system)
        _keep(system, number, median, lot, deadline=begun + seconds)
        used = end()
        since = begun + settling
        found = until(lambda: _some(lags(system, since=since)), what="some are noticed")
        rate = len(found) / (time.time() - since)
    ground.say(f"{rate:.0f} noticed in a second; {usage.told(used)}")
    percentiles = statistics.quantiles(found, n=100, method="inclusive")
    name = f"{number:,} under way"
    return [
        _bounded("notice, median", name, percentiles[49], percentiles[94], HALF),
        _bounded("notice, 99th percentile", name, percentiles[98], max(found), NEARLY_ALL),
        Comparison(
            "processors, all together",
            Timing(name, *2 * [sum(each.cores for each in used.values())]),
            Timing("the machine", *2 * [float(psutil.cpu_count() or 1)]),
            unit="cores",
        ),
        Comparison(
            "memory of the worker",
            Timing(name, *2 * [used["workers"].memory]),
            Timing("as planned", *2 * [PLANNED]),
            unit="MiB",
        ),
    ]


def _some(found: list[float]) -> list[float]:
    """Those that are enough for percentiles; a run that is quick and slow has to wait for them."""
    return found if len(found) > 1 else []


def put(system: System, number: int, median: float, lot: random.Random) -> None:
    """Have so many operations be under way, in all stages of their lives."""
    now = time.time()
    begun: list[float] = []
    names: list[str] = []
    while len(names) < number:
        takes = draw(median, lot)
        # Whoever looks at any moment meets long ones more often than short ones.
        if lot.random() * 4 * median > takes:
            continue
        begun.append(now - lot.random() * takes)
        names.append(operation_name(begun[-1] + takes))
    _insert(system, begun, names)


def lags(system: System, *, since: float) -> list[float]:
    """Seconds from each result to the completion of its row, of the rows completed since."""
    with system.database.autocommit() as conn:
        return [float(lag) for lag in conn.execute(_LAGS, {"since": since}).scalars()]


def _keep(
    system: System, number: int, median: float, lot: random.Random, *, deadline: float
) -> None:
    """Put new operations in the place of those that have ended, until then."""
    under_way = select(func.count()).where(c.status == Status.GENERATING)

    def is_over() -> bool:
        with system.database.autocommit() as conn:
            missing = number - conn.execute(under_way).scalar_one()
        now = time.time()
        names = [operation_name(now + draw(median, lot)) for _ in range(missing)]
        _insert(system, [now] * len(names), names)
        time.sleep(REFILL)
        return now >= deadline

    until(is_over, what="the time is over", within=deadline - time.time() + 60)


def _insert(system: System, begun: list[float], names: list[str]) -> None:
    folder = system.videos / "all"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sample_0.mp4").touch()
    prefix = f"{folder.as_uri()}/"
    with system.database.begin() as conn:
        conn.execute(_PUT, {"begun": begun, "names": names, "prefix": prefix})


def _bounded(what: str, name: str, at: float, beyond: float, bound: float) -> Comparison:
    return Comparison(
        what, Timing(name, at, beyond), Timing(f"{bound:.0f} s", bound, bound), 1.0, "s"
    )
