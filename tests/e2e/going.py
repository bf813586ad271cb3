"""Writes of the product at which a test has Postgres go, exactly: the write is not made.

The product has no hook for it. Triggers in the test's own database have a write about a marked
request stand still until the test has thrown out whoever makes it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final

import psycopg2
from psycopg2 import sql

from tests.workers.harness import System
from tests.workers.waiting import until


class Point(StrEnum):
    """A write, and so a step of a request's way."""

    ADMISSION = "admission"
    CLAIM = "claim"
    #: The paid call has been made.
    START = "start"
    #: It is about to be asked about.
    TAKE_UP = "take_up"
    #: It was asked about, and has to wait.
    PARK = "park"
    #: Its video is there.
    COMPLETION = "completion"
    #: Its answer is about to be sent.
    DELIVERY = "delivery"
    #: Its answer was sent.
    DELIVERED = "delivered"


_WRITES: Final = {
    Point.ADMISSION: "NEW.status = 'pending'",
    Point.CLAIM: "OLD.claim IS NULL AND NEW.claim IS NOT NULL",
    Point.START: "OLD.status = 'pending' AND NEW.operation_name IS NOT NULL",
    Point.TAKE_UP: "OLD.status = 'generating' AND NEW.attempts > OLD.attempts",
    Point.PARK: "OLD.status = 'generating' AND NEW.attempts < OLD.attempts",
    Point.COMPLETION: "NEW.status = 'completed' AND OLD.status = 'generating'",
    Point.DELIVERY: "OLD.delivery_claim IS NULL AND NEW.delivery_claim IS NOT NULL",
    Point.DELIVERED: "OLD.delivered_at IS NULL AND NEW.delivered_at IS NOT NULL",
}

_FUNCTION: Final = """
CREATE TABLE closed_gates (point TEXT);
CREATE FUNCTION stand_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM closed_gates WHERE point = TG_ARGV[0]) THEN
    PERFORM pg_sleep(60);
  END IF;
  RETURN NEW;
END
$$
"""
_TRIGGER: Final = """
CREATE TRIGGER {name} BEFORE {verb} ON video_requests FOR EACH ROW
WHEN (NEW.prompt = {prompt} AND {write}) EXECUTE FUNCTION stand_at_gate({point})
"""
_STANDING: Final = """
SELECT count(*)
FROM pg_stat_activity
WHERE datname = current_database() AND wait_event = 'PgSleep'
"""


def prompt_of(point: Point) -> str:
    """What must be asked for, for the write to stand still."""
    return f"a red fox at the {point}"


def make_gates(system: System) -> None:
    """Put the triggers into the system's database. All are open."""
    with psycopg2.connect(system.environment["DATABASE_URL"]) as conn, conn.cursor() as cursor:
        cursor.execute(_FUNCTION)
        for point, write in _WRITES.items():
            cursor.execute(
                sql.SQL(_TRIGGER).format(
                    name=sql.Identifier(f"gate_{point}"),
                    verb=sql.SQL("INSERT" if point is Point.ADMISSION else "UPDATE"),
                    prompt=sql.Literal(prompt_of(point)),
                    write=sql.SQL(write),
                    point=sql.Literal(str(point)),
                )
            )
    conn.close()


@contextmanager
def closed(system: System, point: Point) -> Iterator["Gate"]:
    """Have the next such write stand still."""
    conn = psycopg2.connect(system.environment["DATABASE_URL"])
    conn.autocommit = True
    try:
        with conn.cursor() as cursor:
            cursor.execute("INSERT INTO closed_gates VALUES (%s)", [point])
            yield Gate(cursor)
    finally:
        conn.close()


class Gate:
    """A gate that is closed."""

    def __init__(self, cursor: psycopg2.extensions.cursor) -> None:
        self._cursor = cursor

    def wait(self) -> None:
        """Until somebody stands at it; nobody else will."""
        until(self._is_somebody_there, what="somebody stands at the gate")
        self._cursor.execute("DELETE FROM closed_gates")

    def _is_somebody_there(self) -> bool:
        self._cursor.execute(_STANDING)
        [(number,)] = self._cursor.fetchall()
        return bool(number)
