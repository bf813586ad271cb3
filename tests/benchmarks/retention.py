"""Admissions while the cleanup deletes half of all requests, against admissions without it.

The clients ask at a steady rate, as users do, and the two sides take turns of some seconds until
half the table is gone. Each request has the three events of its life.
"""

import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, make_url, text

from db.engine import Database
from db.settings import DatabaseSettings
from db.standing import Outcome
from tests.benchmarks.filling import access
from tests.benchmarks.ground import Ground
from tests.benchmarks.measuring import Comparison, Timing, log_to_nowhere
from tests.benchmarks.samples import admission
from workers import retention
from workers.retention import Run
from workers.storage.folder import FolderStorage

CLIENTS: Final = 4
RATE: Final = 25.0
"""Admissions a second that each client asks for: in all, 8 million a day."""
TURN: Final = 10.0
"""Seconds that a side has before it is the other's turn."""
QUICK_TURN: Final = 2.0
HEAD_START: Final = 1.0
"""Seconds that clients have to connect."""
EVERY: Final = 3
"""Turns with the cleanup for one without."""
BOUND: Final = 1.5

_EVENTS: Final = text(
    """
    INSERT INTO video_events (request_id, event_type, event_data, created_at)
    SELECT id, 'status_changed', jsonb_build_object('from', source, 'to', target), created_at
    FROM video_requests,
      (VALUES ('pending', 'generating'), ('generating', 'completed')) AS move(source, target)
    WHERE created_at < :cutoff
    """
)
#: The half of those that have ended. The busy user's thousand are of today.
_CUTOFF: Final = text(
    """
    SELECT created_at
    FROM video_requests
    ORDER BY created_at
    OFFSET :going
    LIMIT 1
    """
)


def run(ground: Ground) -> list[Comparison]:
    """The 50th and the 99th percentile of an admission, with and without the cleanup."""
    log_to_nowhere()
    turn = QUICK_TURN if ground.is_quick else TURN
    taken: dict[bool, list[float]] = {True: [], False: []}
    with _copy(ground) as address, closing(access(address)) as database:
        with database.autocommit() as conn:
            progress = _prepare(ground, conn)
        spent = 0.0
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            # The first turn is for connections and plans.
            pool.submit(_clients, address, time.time() + HEAD_START, turn).result()
            for number in count():
                if progress.is_finished:
                    break
                for is_cleaning in (False, True) if number % EVERY == 0 else (True,):
                    begins_at = time.time() + HEAD_START
                    job = pool.submit(_clients, address, begins_at, turn)
                    if is_cleaning:
                        cleanup = pool.submit(
                            _clean, address, ground.folder, progress, begins_at, turn
                        )
                        progress, seconds = cleanup.result()
                        spent += seconds
                        ground.say(f"{progress.deleted:,} requests are deleted")
                    times = job.result()
                    # In the last turn most of it is asked for after the last batch.
                    if not is_cleaning or not progress.is_finished or not taken[True]:
                        taken[is_cleaning] += times
        rate = progress.deleted / spent
        ground.say(f"{progress.deleted:,} requests deleted, {rate:,.0f} in a second")
    usual, cleaning = ([0.0, *statistics.quantiles(taken[side], n=100)] for side in (False, True))
    return [
        Comparison(
            f"admission while old requests go, {name}",
            Timing("", cleaning[at], cleaning[beyond]),
            Timing("admission without that", usual[at], usual[beyond]),
            bound,
        )
        for name, at, beyond, bound in (
            ("median", 50, 95, None),
            ("99th percentile", 99, 99, BOUND),
        )
    ]


def _prepare(ground: Ground, conn: Connection) -> Run:
    going = ground.rows // (20 if ground.is_quick else 2)
    cutoff = conn.execute(_CUTOFF, {"going": going}).scalar_one()
    ground.say("telling of the moves of those that are to go")
    conn.execute(text("SET statement_timeout = 0"))
    conn.execute(_EVENTS, {"cutoff": cutoff})
    conn.execute(text("VACUUM ANALYZE video_events"))
    conn.execute(text("CHECKPOINT"))
    conn.invalidate()
    return Run(cutoff, datetime.now(UTC))


@contextmanager
def _copy(ground: Ground) -> Iterator[str]:
    """A database of its own: the others want their rows."""
    source = make_url(ground.address)
    # Nobody may be connected to what is copied.
    ground.database.close()
    address = source.set(database=f"retention_{ground.rows}")
    with closing(access(source.set(database="postgres").render_as_string(hide_password=False))) as (
        postgres
    ):
        with postgres.autocommit() as conn:
            conn.execute(text("SET statement_timeout = 0"))
            conn.exec_driver_sql(f"CREATE DATABASE {address.database} TEMPLATE {source.database}")
            conn.invalidate()
        yield address.render_as_string(hide_password=False)
        with postgres.autocommit() as conn:
            conn.exec_driver_sql(f"DROP DATABASE {address.database} WITH (FORCE)")


def _clients(address: str, begins_at: float, seconds: float) -> list[float]:
    """Microseconds of every admission of that time, each from when it was to begin."""
    log_to_nowhere()
    settings = {"database_url": address, "database_max_connections": CLIENTS}
    database = Database(DatabaseSettings.model_validate(settings))

    def client(number: int) -> list[float]:
        taken = []
        with database.autocommit() as conn:
            prepare = admission(conn, expected=Outcome.ADMITTED)
            prepare()()
            # By the clock, so that one that is late makes no other wait for its turn.
            due = begins_at + number / RATE / CLIENTS
            while due < begins_at + seconds:
                act = prepare()
                time.sleep(max(due - time.time(), 0))
                act()
                taken.append((time.time() - due) * 1e6)
                due += 1 / RATE
        return taken

    with closing(database), ThreadPoolExecutor(CLIENTS) as threads:
        return [each for found in threads.map(client, range(CLIENTS)) for each in found]


def _clean(
    address: str, folder: Path, progress: Run, begins_at: float, turn: float
) -> tuple[Run, float]:
    """A slice of the cleanup, and the seconds that it took."""
    log_to_nowhere()
    settings = DatabaseSettings.model_validate({"database_url": address})
    with closing(Database(settings)) as database:
        time.sleep(max(begins_at - time.time(), 0))
        begun = time.monotonic()
        done = retention.clean(database, FolderStorage(folder), progress, seconds=turn)
        assert done is not None
        return done, time.monotonic() - begun
