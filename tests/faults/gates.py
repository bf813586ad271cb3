"""Places in Postgres where a task about a marked request stops, for a test to kill it there.

The product has no hook for it. The test puts triggers into its own database, which wait for an
advisory lock that the test holds, sees in Postgres' own views who has come, and knows by the
name of the connection which process that is.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg2
from psycopg2 import sql

from tests.faults.points import WRITES, Death, Point
from tests.workers.waiting import PATIENCE, until

_FUNCTION: Final = """
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(TG_ARGV[0]::bigint);
  RETURN coalesce(NEW, OLD);
END
$$
"""
#: Before the write, or when it is committed: for a transaction of several statements, a writer
#: who is stopped after one of them would never commit.
_TRIGGERS: Final = {
    Death.BEFORE: "CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH ROW "
    "WHEN ({write}) EXECUTE FUNCTION wait_at_gate({key})",
    Death.AFTER: "CREATE CONSTRAINT TRIGGER {name} AFTER {verb} ON {table} "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "WHEN ({write}) EXECUTE FUNCTION wait_at_gate({key})",
}
_OF_STATEMENTS: Final = (
    "CREATE TRIGGER {name} BEFORE {verb} ON {table} EXECUTE FUNCTION wait_at_gate({key})"
)
_WAITING: Final = """
SELECT pid, application_name
FROM pg_locks
JOIN pg_stat_activity USING (pid)
WHERE locktype = 'advisory'
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (classid, objid, objsubid) = (0, %s, 1)
  AND NOT granted
"""


class Gates:
    """All gates of one database, open."""

    def __init__(self, database_url: str) -> None:
        self._keys = {
            (point, death): number
            for number, (point, death) in enumerate(
                ((point, death) for point in Point for death in Death), start=7001
            )
        }
        self._database_url = database_url
        self.connect()
        self._execute(_FUNCTION)
        for (point, death), key in self._keys.items():
            self._put_up(point, death, key)

    def connect(self) -> None:
        """At first, and again when Postgres was away. No wait for a lock is without an end."""
        limit = f"-c statement_timeout={PATIENCE:.0f}s"
        self._connection = psycopg2.connect(
            self._database_url, connect_timeout=round(PATIENCE), options=limit
        )
        self._connection.autocommit = True

    def _put_up(self, point: Point, death: Death, key: int) -> None:
        write = WRITES[point]
        if write.of is None and death is Death.AFTER:
            # The next statement is not to be had.
            return
        which: sql.Composable = sql.SQL(write.of or "true")
        if write.is_marked:
            row = sql.SQL("OLD" if write.verb == "DELETE" else "NEW")
            mark = sql.Literal(f"{self.mark(point, death)}%")
            which = sql.SQL("{}.user_id LIKE {} AND {}").format(row, mark, which)
        trigger = _OF_STATEMENTS if write.of is None else _TRIGGERS[death]
        self._execute(
            sql.SQL(trigger).format(
                name=sql.Identifier(f"gate_{point}_{death}"),
                verb=sql.SQL(write.verb),
                table=sql.Identifier(write.table),
                write=which,
                key=sql.Literal(str(key)),
            )
        )

    @staticmethod
    def mark(point: Point, death: Death) -> str:
        """What the name of a user must begin with, for the gate to stop his requests."""
        return f"{point}-{death}-"

    @contextmanager
    def closed(self, point: Point, death: Death) -> Iterator["Gate"]:
        """Close one gate for the block, or until it is opened."""
        gate = Gate(self._connection, self._keys[point, death])
        gate.close()
        try:
            yield gate
        finally:
            gate.open()

    def close(self) -> None:
        """Open all, and leave."""
        self._connection.close()

    def _execute(self, statement: str | sql.Composable) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)


class Gate:
    """One gate, and who stands before it."""

    def __init__(self, connection: Any, key: int) -> None:
        self._connection = connection
        self._key = key
        self._is_closed = False

    def close(self) -> None:
        self._query("SELECT pg_advisory_lock(%s)", self._key)
        self._is_closed = True

    def open(self) -> None:
        """Harmless on an open gate."""
        if self._is_closed:
            self._query("SELECT pg_advisory_unlock(%s)", self._key)
            self._is_closed = False

    def wait_for(self, number: int) -> dict[int, int]:
        """The processes that wait here, once there are so many: Postgres' own, and its client's.

        Each is stopped as it comes, to be killed: it would not wait for long (DESIGN, 9), and the
        next may be slow to come.
        """
        found: dict[int, int] = {}

        def all_there() -> bool:
            for backend, name in self._query(_WAITING, self._key):
                if backend not in found:
                    found[backend] = int(name.removeprefix("video-bot "))
                    os.kill(found[backend], signal.SIGSTOP)
            return len(found) >= number

        until(all_there, what=f"{number} tasks stand at the gate")
        assert len(found) == number
        return found

    def kill_before(self, waiting: dict[int, int]) -> None:
        """SIGKILL who waits, and have the write not made; the gate is open then."""
        for client in waiting.values():
            os.kill(client, signal.SIGKILL)
        self.drop(waiting)
        self.open()

    def drop(self, waiting: dict[int, int]) -> None:
        """Have the writes not made: Postgres would notice a client's death only after them."""
        for backend in waiting:
            self._query("SELECT pg_terminate_backend(%s, 5000)", backend)

    def kill_after(self, waiting: dict[int, int]) -> None:
        """Have the write made, and SIGKILL who waits before he hears of it."""
        self.let_write(waiting)
        for client in waiting.values():
            os.kill(client, signal.SIGKILL)

    def let_write(self, waiting: dict[int, int]) -> None:
        """Have the write made, of which those who have been stopped do not hear."""
        self.open()
        until(lambda: self._are_idle(list(waiting)), what="the writes are made")

    def _are_idle(self, backends: list[int]) -> bool:
        states = self._query(
            "SELECT state FROM pg_stat_activity WHERE pid = ANY(%s)",
            backends,
        )
        return len(states) == len(backends) and {state for (state,) in states} == {"idle"}

    def _query(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query, parameters)
            return list(cursor.fetchall())
