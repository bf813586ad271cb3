"""What the benchmarks of one run share: its size, and a Postgres with filled databases."""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import make_url, text

from db import embedded, migrate
from db.engine import Database
from tests.benchmarks.filling import Say, access, fill

#: Room for the filling; and nobody vacuums or writes a checkpoint while time is taken.
SETTINGS = {"max_wal_size": "8GB", "checkpoint_timeout": "1h", "autovacuum": "off"}


@dataclass
class Ground:
    """The size of a run, and its databases, each made when it is first asked for."""

    folder: Path
    rows: int
    more_rows: int
    #: Of each side of a comparison.
    samples: int
    #: No bound is judged: it is enough to see that everything runs.
    is_quick: bool
    say: Say
    #: Ends with the run, and what the benchmarks have started with it.
    stack: ExitStack
    _address: str | None = None
    _filled: dict[int, Database] = field(default_factory=dict)
    _addresses: dict[int, str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        """The one with `rows` requests."""
        return self.filled(self.rows)

    @property
    def address(self) -> str:
        """Of the one with `rows` requests, for other processes."""
        self.filled(self.rows)
        return self._addresses[self.rows]

    @property
    def larger_database(self) -> Database:
        """The one with `more_rows` requests."""
        return self.filled(self.more_rows)

    def filled(self, rows: int) -> Database:
        """A migrated database with so many requests."""
        if rows not in self._filled:
            self._filled[rows] = self._make(rows)
        return self._filled[rows]

    @contextmanager
    def empty(self, name: str) -> Iterator[str]:
        """The address of a migrated database with nothing in it, on a server of its own.

        It is for a whole system, whose tables have to be vacuumed, and which may lose its server.
        """
        self.say("starting a Postgres for a whole system")
        with embedded.postgres(self.folder / f"plain-{name}", durable=True) as server:
            yield _create(server, name)

    def _make(self, rows: int) -> Database:
        if self._address is None:
            self.say("starting Postgres")
            # Durable, as where it counts: an INSERT waits for the disk.
            server = embedded.postgres(self.folder, durable=True, settings=SETTINGS)
            self._address = self.stack.enter_context(server)
        self.say(f"filling a database with {rows:,} requests")
        self._addresses[rows] = _create(self._address, f"rows_{rows}")
        database = access(self._addresses[rows])
        self.stack.callback(database.close)
        fill(database, rows, self.say)
        return database


def _create(server: str, name: str) -> str:
    """Make a migrated database; its address."""
    with closing(access(server)) as postgres, postgres.autocommit() as conn:
        conn.execute(text(f"CREATE DATABASE {name}"))
    address = make_url(server).set(database=name).render_as_string(hide_password=False)
    migrate.migrate(address, lambda _line: None)
    return address
