"""Whether the process, Postgres and Redis are well, each told in under a second (HT1).

What is wrong in particular is for the log: nobody who asks over HTTP learns more than that (DG6).
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import structlog
from fastapi import APIRouter
from fastapi.responses import JSONResponse

from bot.web.asking import Shared
from db import probe
from db.errors import DatabaseError
from db.probe import Probe
from workers import broker
from workers.errors import BrokerUnavailable

log = structlog.get_logger(__name__)

DATABASE_WITHIN: Final = timedelta(milliseconds=450)
BROKER_PATIENCE: Final = 0.2
"""Seconds, to connect and for each answer."""
WITHIN: Final = 0.5
"""Seconds after which whoever asks is told that there is no answer."""
FRESH: Final = 0.3
"""Seconds for which an answer stands."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a check."""

    is_ok: bool
    latency_ms: float


class Check:
    """One thing that can be well or not. Its changes are logged, with the reason."""

    def __init__(self, name: str, look: Callable[[], None]) -> None:
        self.name = name
        self._look = look
        self._reason: str | None = None
        self._shared = Shared(self._ask, fresh=FRESH)

    async def answer(self) -> Answer:
        """How it stands, in no more than WITHIN seconds."""
        begin = time.monotonic()
        try:
            return await self._shared.answer(WITHIN)
        except TimeoutError:
            return Answer(is_ok=False, latency_ms=_since(begin))

    def _ask(self) -> Answer:
        begin = time.monotonic()
        reason = None
        try:
            self._look()
        except (DatabaseError, BrokerUnavailable, _NotMigrated) as error:
            reason = str(error)
        except Exception as error:
            # A bug, or a library's: it is not well either way.
            log.exception("health_check_failed", check=self.name)
            reason = type(error).__name__
        answer = Answer(is_ok=reason is None, latency_ms=_since(begin))
        if (reason is None) != (self._reason is None):
            tell = log.info if reason is None else log.warning
            tell("health_changed", check=self.name, status=_status(answer), reason=reason)
        self._reason = reason
        return answer


class _NotMigrated(Exception):
    """The database lacks what this program needs of it."""


def checks(database: Probe) -> list[Check]:
    """What this process looks after."""

    def ask_database() -> None:
        with database.connect(DATABASE_WITHIN) as conn:
            probe.ping(conn)

    def ask_for_migrations() -> None:
        with database.connect(DATABASE_WITHIN) as conn:
            if pending := probe.pending_migrations(conn):
                raise _NotMigrated(f"pending: {', '.join(pending)}")

    return [
        Check("database", ask_database),
        Check("broker", lambda: broker.ping(patience=BROKER_PATIENCE)),
        Check("migrations", ask_for_migrations),
    ]


def router(database: Probe) -> APIRouter:
    """The pages under ``/health``."""
    by_name = {check.name: check for check in checks(database)}
    routes = APIRouter(prefix="/health")

    async def live() -> JSONResponse:
        begin = time.monotonic()
        # How long the event loop takes to come round.
        await asyncio.sleep(0)
        return _response(Answer(is_ok=True, latency_ms=_since(begin)))

    async def database_is_well() -> JSONResponse:
        return _response(await by_name["database"].answer())

    async def broker_is_well() -> JSONResponse:
        return _response(await by_name["broker"].answer())

    async def ready() -> JSONResponse:
        begin = time.monotonic()
        answers = await asyncio.gather(*(check.answer() for check in by_name.values()))
        overall = Answer(all(each.is_ok for each in answers), _since(begin))
        names = dict(zip(by_name, map(_status, answers), strict=True))
        return _response(overall, checks=names)

    for path, page in (
        ("/live", live),
        ("/database", database_is_well),
        ("/broker", broker_is_well),
        ("/ready", ready),
    ):
        routes.add_api_route(path, page, methods=["GET", "HEAD"])
    return routes


def _response(answer: Answer, **more: Any) -> JSONResponse:
    content = {"status": _status(answer), "latency_ms": answer.latency_ms, **more}
    return JSONResponse(content, status_code=200 if answer.is_ok else 503)


def _status(answer: Answer) -> str:
    return "ok" if answer.is_ok else "degraded"


def _since(begin: float) -> float:
    """Milliseconds."""
    return round((time.monotonic() - begin) * 1000, 1)
