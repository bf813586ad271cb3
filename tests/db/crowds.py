"""Many who do something in the same moment, each on a connection of its own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import TypeVar

from sqlalchemy import Connection

from db.engine import Database
from db.records import NewRequest
from db.settings import DatabaseSettings
from db.standing import Admission
from tests.db.rows import admit_one

T = TypeVar("T")


@contextmanager
def many_connections(url: str, number: int) -> Iterator[Database]:
    values = {"database_url": url, "database_max_connections": number}
    database = Database(DatabaseSettings.model_validate(values))
    yield database
    database.close()


def at_once(database: Database, deeds: Sequence[Callable[[Connection], T]]) -> list[T]:
    """Every one of them done by a thread, in autocommit."""
    barrier = Barrier(len(deeds))

    def do(deed: Callable[[Connection], T]) -> T:
        with database.autocommit() as conn:
            barrier.wait(30)
            return deed(conn)

    with ThreadPoolExecutor(len(deeds)) as threads:
        return list(threads.map(do, deeds))


def admit_at_once(
    database: Database, news: Sequence[NewRequest], *, limit: int = 5, quota: int = 1000
) -> list[Admission]:
    def admission(new: NewRequest) -> Callable[[Connection], Admission]:
        return lambda conn: admit_one(conn, new, limit=limit, quota=quota)

    return at_once(database, [admission(new) for new in news])
