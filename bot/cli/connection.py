"""The database, for commands that read it or set something in it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import Connection


@contextmanager
def connected(*, answer_timeout: timedelta | None = None) -> Iterator["Connection"]:
    """The database of DATABASE_URL, in a transaction. What is slow is told on stderr (QH5)."""
    from db.engine import ANSWER_TIMEOUT, Database
    from db.errors import DatabaseUnavailable
    from db.settings import DatabaseSettings, read, require
    from workers.logs import configure
    from workers.settings import LogSettings

    require(DatabaseSettings, LogSettings)
    configure(read(LogSettings), level="warning")
    database = Database(read(DatabaseSettings), answer_timeout=answer_timeout or ANSWER_TIMEOUT)
    missed = "Database connection failed"
    try:
        with closing(database), database.begin() as conn:
            missed = "The database did not answer"
            yield conn
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(f"{missed}: {error} ({database})") from None
