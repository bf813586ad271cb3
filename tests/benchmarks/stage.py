"""A whole system for a benchmark: servers, workers and a folder, and nobody else on them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import func, select

from db.records import NewRequest
from db.tables import video_requests
from tests.benchmarks.ground import Ground
from tests.db.rows import new_request
from tests.workers.harness import System, new_system
from tests.workers.running import Worker

ROOT: Final = Path(__file__).parents[2]

c = video_requests.c


class BenchmarkWorker(Worker):
    """A worker whose videos cost nothing."""

    module = "tests.benchmarks.worker"


@contextmanager
def stage(ground: Ground, name: str, **environment: object) -> Iterator[System]:
    """A system with the settings that the product has by itself, for the block."""
    given = {"RESCUE_AFTER_SECONDS": 30, "MONTHLY_QUOTA": 1_000_000, **environment}
    address = ground.empty(name)
    with new_system(ground.folder / name, address, PYTHONPATH=ROOT, **given) as system:
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
    """When each was completed that was, in seconds since the epoch, by the clock of Postgres."""
    at = func.extract("epoch", c.completed_at)
    ended = select(c.id, at).where(c.id.in_(request_ids), c.completed_at.is_not(None))
    with system.database.autocommit() as conn:
        return {row[0]: float(row[1]) for row in conn.execute(ended)}
