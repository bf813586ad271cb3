"""Admission of many at once under budgets that all of them share, against a plain INSERT.

Sixteen clients: four processes with four threads each, every thread with a connection of its own.
Once on the disk that is there, and once with Postgres waiting before each flush, as long as a disk
takes that is reached over a network. There locks held during a flush would show most.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing import get_context
from typing import Final

from sqlalchemy import Connection, make_url, text

from db import budgets
from db.engine import Database
from db.settings import DatabaseSettings
from db.standing import Budget, Outcome, Period, Scope
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Side, Timing, log_to_nowhere
from tests.benchmarks.samples import admission, plain_insert

PROCESSES, THREADS = 4, 4
ROUNDS: Final = 9
HEAD_START: Final = 1.0
"""Seconds that clients have to connect, and to prepare what they will ask for."""
BOUND: Final = 1 / 0.7
"""At least 0.7 of the throughput."""

SIDES: Final[dict[str, Callable[[Connection], Side]]] = {
    "plain INSERT": plain_insert,
    "admission": lambda conn: admission(conn, expected=Outcome.ADMITTED),
}


FLUSHES: Final = {
    "16 clients under budgets": 0,
    "the same, a disk that takes 10 ms more": 10_000,
}
"""Microseconds that Postgres waits before each flush. On a fast disk the processors are what is
short; on a slow one it shows whether anybody waits for another's flush: locks that are held for one
would let a hundred requests a second through."""


def run(ground: Ground) -> list[Comparison]:
    """A budget of all and one of each guild, neither of which is ever reached."""
    with ground.database.begin() as conn:
        for scope, scope_id in ((Scope.ALL, ""), (Scope.GUILD, budgets.EVERY)):
            budgets.set_limit(conn, Budget(scope, scope_id, Period.DAY, Decimal(10_000_000)))
    try:
        return [_compare(ground, name, delay) for name, delay in FLUSHES.items()]
    finally:
        with ground.database.begin() as conn:
            for scope, scope_id in ((Scope.ALL, ""), (Scope.GUILD, budgets.EVERY)):
                budgets.remove(conn, scope, scope_id, Period.DAY)


def _compare(ground: Ground, name: str, delay: int) -> Comparison:
    each = max(ground.samples // (PROCESSES * THREADS), 1)
    taken: dict[str, list[float]] = {side: [] for side in SIDES}
    with (
        _flushes_later(ground, delay),
        ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool,
    ):
        for round_ in range(2 if ground.is_quick else ROUNDS + 1):
            for side in SIDES:
                begins_at = time.time() + HEAD_START
                jobs = [
                    pool.submit(_process, ground.address, side, each, begins_at)
                    for _ in range(PROCESSES)
                ]
                ended_at = max(job.result() for job in jobs)
                # The first round makes counters, plans and connections.
                if round_:
                    in_all = each * PROCESSES * THREADS
                    taken[side].append((ended_at - begins_at) * 1e6 / in_all)
    timings = {side: _timing(side, found) for side, found in taken.items()}
    return Comparison(name, timings["admission"], timings["plain INSERT"], BOUND)


@contextmanager
def _flushes_later(ground: Ground, delay: int) -> Iterator[None]:
    """For connections made in the block: so many microseconds before each flush."""
    database = make_url(ground.address).database
    settings = {"commit_delay": delay, "commit_siblings": 0}
    with ground.database.begin() as conn:
        for setting, value in settings.items():
            conn.execute(text(f"ALTER DATABASE {database} SET {setting} = {value}"))
    try:
        yield
    finally:
        with ground.database.begin() as conn:
            for setting in settings:
                conn.execute(text(f"ALTER DATABASE {database} RESET {setting}"))


def _process(address: str, name: str, number: int, begins_at: float) -> float:
    """Have each thread do so many; when the last of them ended, in seconds since the epoch."""
    log_to_nowhere()
    settings = DatabaseSettings.model_validate(
        {"database_url": address, "database_max_connections": THREADS}
    )
    database = Database(settings)

    def client(_: int) -> float:
        with database.autocommit() as conn:
            prepare = SIDES[name](conn)
            acts = [prepare() for _ in range(number)]
            time.sleep(max(begins_at - time.time(), 0))
            for act in acts:
                act()
            return time.time()

    with ThreadPoolExecutor(THREADS) as threads:
        ended_at = max(threads.map(client, range(THREADS)))
    database.close()
    return ended_at


def _timing(name: str, microseconds: list[float]) -> Timing:
    return Timing(name, statistics.median(microseconds), max(microseconds))
