"""What is told of a write, in a line of the log say, is told when the write stands."""

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection

Tell = Callable[[], object]

_HELD_BACK: Final = "told_when_committed"


def hold_back(conn: Connection) -> list[Tell]:
    """Have what is told of writes on `conn` gathered, for whoever commits them to tell."""
    held_back: list[Tell] = []
    conn.execution_options(**{_HELD_BACK: held_back})
    return held_back


def once_it_stands(conn: Connection, tell: Tell) -> None:
    """Call `tell` when what was written on `conn` is committed, and never if it is not.

    A write in autocommit stands already.
    """
    held_back = conn.get_execution_options().get(_HELD_BACK)
    if held_back is None:
        tell()
    else:
        held_back.append(tell)
