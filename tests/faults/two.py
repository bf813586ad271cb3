"""Two things at once. While Postgres is away a request may be in a message alone."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.faults import stores
from tests.faults.servers import FAST
from tests.faults.stage import Stage

AWAY: Final = 12.0
"""Seconds, of which the other thing happens in the middle."""
TIMES: Final = 3


def redis_forgets_in_an_outage(stage: Stage) -> None:
    """What was asked for meanwhile is known to the bot alone."""
    with _postgres_away(stage):
        stores.redis_forgets(stage)


def redis_is_full_in_an_outage(stage: Stage) -> None:
    """No message can be followed by the next."""
    with _postgres_away(stage):
        stores.redis_is_full(stage)


def workers_die_in_an_outage(stage: Stage) -> None:
    """All of them, with what they had just taken."""
    workers = stage.workers
    with _postgres_away(stage):
        for each in workers:
            each.kill()
    for _ in workers:
        stage.start_worker()


def workers_and_postgres_die(stage: Stage) -> None:
    """One after the other, again and again."""
    for _ in range(TIMES):
        stage.workers[-1].kill()
        stores.postgres_dies(stage)
        stage.start_worker()


@contextmanager
def _postgres_away(stage: Stage) -> Iterator[None]:
    stage.postgres.stop(FAST)
    try:
        time.sleep(AWAY / 2)
        yield
        time.sleep(AWAY / 2)
    finally:
        stage.postgres.start()
