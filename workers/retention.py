"""The cleanup (RE1): a run of many short batches, cut into slices that fit a task's time.

Of each batch the outputs are removed first, then the rows. A death in between leaves rows whose
outputs are gone, which the next run deletes; the other way round, outputs would be left for ever
that nobody knows of.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Connection

from db import removal, retention
from db.engine import Database
from db.history import Place
from db.states import ENDED, Status
from workers.removal import remove_outputs
from workers.storage import Storage

log = structlog.get_logger(__name__)

BATCH: Final = 25
"""Requests that go in one statement: 10 ms for one who has to wait for a processor meanwhile. With
200 the 99th percentile of an admission was 1.6 times that without a cleanup (two cores)."""
REST: Final = 2.0
"""After a batch, how many times as long as it took nothing is done, so that others get on."""
LONGEST_REST: Final = 5.0
"""Seconds: most of a long batch was the storage's, and a session that idles for 30 s is ended."""
SLICE: Final = 20.0
"""Seconds after which a task hands over to the next: its own time is bounded."""


@dataclass(frozen=True, slots=True)
class Run:
    """How far a cleanup has come."""

    #: What was created before is deleted.
    cutoff: datetime
    began_at: datetime
    deleted: int = 0
    #: Whose outputs could not be removed.
    kept: int = 0
    #: The state whose requests it is at; None when it has been at all of them.
    status: Status | None = ENDED[0]
    #: Where in that state.
    place: Place | None = None

    @property
    def is_finished(self) -> bool:
        """Whether there is nothing left to look at."""
        return self.status is None

    def as_message(self) -> dict[str, Any]:
        """What the next slice needs to know, ready for JSON."""
        place = self.place
        return {
            **asdict(self),
            "cutoff": self.cutoff.isoformat(),
            "began_at": self.began_at.isoformat(),
            "place": place and [place.created_at.isoformat(), str(place.id)],
        }

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Run":
        """The reverse of :meth:`as_message`."""
        place = message["place"]
        return cls(
            cutoff=datetime.fromisoformat(message["cutoff"]),
            began_at=datetime.fromisoformat(message["began_at"]),
            deleted=message["deleted"],
            kept=message["kept"],
            status=message["status"] and Status(message["status"]),
            place=place and Place(datetime.fromisoformat(place[0]), UUID(place[1])),
        )


def clean_for_a_while(
    database: Database, storage: Storage, age: timedelta, message: Mapping[str, Any] | None
) -> Run | None:
    """One slice of a run that deletes what is older than `age`: its first, or by its message.

    None when another run is at it.
    """
    run = Run.from_message(message) if message else begin(database, age)
    return clean(database, storage, run, seconds=SLICE)


def begin(database: Database, age: timedelta) -> Run:
    """A run that has done nothing yet."""
    with database.autocommit() as conn:
        return Run(retention.cutoff(conn, age), datetime.now(UTC))


def clean(
    database: Database,
    storage: Storage,
    run: Run,
    *,
    seconds: float | None = None,
    tell: Callable[[Run], object] = lambda _: None,
) -> Run | None:
    """Go on with a run: to its end, or for about so many seconds, a batch at least.

    None when another one is at it. `tell` hears of each batch. Raises DatabaseUnavailable; what
    was done until then stays done.
    """
    until = None if seconds is None else time.monotonic() + seconds
    with database.autocommit() as conn, retention.alone(conn) as is_alone:
        if not is_alone:
            log.info("cleanup_runs_elsewhere")
            return None
        while not run.is_finished:
            begun = time.monotonic()
            run = _batch(conn, storage, run)
            tell(run)
            if until is not None and time.monotonic() >= until:
                break
            time.sleep(min(REST * (time.monotonic() - begun), LONGEST_REST))
    _log(run)
    return run


def _batch(conn: Connection, storage: Storage, run: Run) -> Run:
    """The next requests of the run's state; its next state where there were no more."""
    if run.status is None:
        return run
    found = retention.old(conn, run.status, run.cutoff, after=run.place, limit=BATCH)
    gone = remove_outputs(storage, found)
    deleted = removal.remove(conn, gone, before=run.cutoff) if gone else 0
    done = replace(run, deleted=run.deleted + deleted, kept=run.kept + len(found) - len(gone))
    if len(found) == BATCH:
        return replace(done, place=Place(found[-1].created_at, found[-1].id))
    left = ENDED[ENDED.index(run.status) + 1 :]
    return replace(done, status=left[0] if left else None, place=None)


def _log(run: Run) -> None:
    seconds = (datetime.now(UTC) - run.began_at).total_seconds()
    log.info(
        "cleanup_finished" if run.is_finished else "cleanup_goes_on",
        deleted=run.deleted,
        kept=run.kept,
        cutoff=run.cutoff,
        seconds=round(seconds, 1),
    )
