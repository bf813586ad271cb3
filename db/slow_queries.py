"""Queries that take long are told of (QH5): which, how long, never with what."""

import re
from time import perf_counter
from typing import Any, Final

import structlog
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext, ExecutionContext

log = structlog.get_logger(__name__)

SLOW_MS: Final = 100
VERY_SLOW_MS: Final = 500

_BEGUN: Final = "query_begun"
_KEYWORD: Final = re.compile(r"[A-Za-z]+")


def watch(engine: Engine) -> None:
    """Log every query of `engine` that takes more than 100 ms; from 500 ms on, warn.

    A query is called by its execution option ``query``, or else by its first keyword. One that
    fails, of a statement timeout say, has taken its time too.
    """
    event.listen(engine, "before_cursor_execute", _begin)
    event.listen(engine, "after_cursor_execute", _end)
    event.listen(engine, "handle_error", _fail)


def _begin(conn: Connection, *_: Any) -> None:
    conn.info[_BEGUN] = perf_counter()


def _end(
    conn: Connection,
    _cursor: Any,
    statement: str,
    parameters: Any,
    context: ExecutionContext | None,
    _executemany: bool,
) -> None:
    _tell(conn, statement, parameters, context)


def _fail(failure: ExceptionContext) -> None:
    if failure.connection is not None and failure.statement is not None:
        _tell(failure.connection, failure.statement, failure.parameters, failure.execution_context)


def _tell(
    conn: Connection, statement: str, parameters: Any, context: ExecutionContext | None
) -> None:
    begun = conn.info.pop(_BEGUN, None)
    if begun is None:
        return
    duration_ms = (perf_counter() - begun) * 1000
    if duration_ms <= SLOW_MS:
        return
    tell = log.warning if duration_ms > VERY_SLOW_MS else log.info
    tell(
        "slow_query",
        query_type=_type(statement, context),
        parameters=_count(parameters),
        duration_ms=round(duration_ms, 1),
    )


def _type(statement: str, context: ExecutionContext | None) -> str:
    name = context.execution_options.get("query") if context else None
    if name is not None:
        return str(name)
    keyword = _KEYWORD.search(statement)
    return keyword[0].upper() if keyword else ""


def _count(parameters: Any) -> int:
    """How many; of a statement that is executed with several sets, those of all."""
    if isinstance(parameters, list):
        return sum(len(each) for each in parameters)
    return len(parameters or ())
