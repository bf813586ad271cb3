"""A whole system for a benchmark: servers, workers and a folder, and nobody else on them."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import func, select, text

from db.records import NewRequest
from db.tables import video_requests
from tests.benchmarks.ground import Ground
from tests.benchmarks.provider import draw
from tests.db.rows import new_request
from tests.workers.harness import System, new_system
from tests.workers.running import Worker
from tests.workers.simulation import LATELY

ROOT: Final = Path(__file__).parents[2]
RESCUE_AFTER: Final = 30
"""Seconds after which nobody counts as following a request."""

c = video_requests.c

#: Whatever is completed today, these are the latest.
_EXPERIENCE: Final = text(
    """
    INSERT INTO video_requests (
      user_id, guild_id, channel_id, prompt, duration_seconds, aspect_ratio, resolution, model,
      status, started_at, completed_at, duration_ms, video_urls
    )
    SELECT
      'user', 'cli', 'cli', 'A lighthouse in a storm', 4, '16:9', '720p', 'benchmark',
      'completed', tomorrow - seconds * interval '1 second', tomorrow, 1000 * seconds,
      ARRAY['file:///']
    FROM unnest(CAST(:seconds AS float[])) AS seconds,
      (SELECT now() + interval '1 day') AS moment(tomorrow)
    """
)


class BenchmarkWorker(Worker):
    """A worker whose videos cost nothing."""

    module = "tests.benchmarks.worker"


@contextmanager
def stage(ground: Ground, name: str, *, median: float = 0.0, **changes: object) -> Iterator[System]:
    """A system with the delays that the product has by itself, for the block.

    Half of its operations take no longer than `median` seconds, and its workers have learned that.
    """
    given = {
        "RESCUE_AFTER_SECONDS": RESCUE_AFTER,
        "MONTHLY_QUOTA": 1_000_000,
        "SANDBOX_SECONDS": median,
        "PYTHONPATH": ROOT,
        **changes,
    }
    lot = random.Random(1)  # noqa: S311
    with (
        ground.empty(name) as address,
        new_system(ground.folder / name, address, **given) as system,
    ):
        with system.database.autocommit() as conn:
            conn.execute(_EXPERIENCE, {"seconds": [draw(median, lot) for _ in range(LATELY)]})
        yield system


def start_worker(system: System, *, concurrency: int) -> Worker:
    """One more worker, ready."""
    log = system.folder / f"worker-{len(system.processes) + 1}.log"
    worker = BenchmarkWorker(system.environment, log, concurrency=concurrency)
    system.processes.append(worker)
    return worker


def somebodys() -> NewRequest:
    """A request of somebody who has never asked before, whom nobody waits for in Discord."""
    return new_request(user_id=f"user {uuid4()}", guild_id="cli", channel_id="cli")


def completions(system: System, request_ids: list[UUID]) -> dict[UUID, float]:
    """When each ended that has, in seconds since the epoch, by the clock of Postgres."""
    at = func.extract("epoch", c.completed_at)
    ended = select(c.id, at).where(c.id.in_(request_ids), c.completed_at.is_not(None))
    with system.database.autocommit() as conn:
        return {row[0]: float(row[1]) for row in conn.execute(ended)}
