"""What is asked of a double, and the accidents that tests arrange on the way.

Calls are named by method and path, with wildcards: `POST /upload/*`. An accident happens before its
call is done or after; so a test can hide from a client that what it asked for was done.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.workers.waiting import PATIENCE


@dataclass(eq=False)
class Call:
    """One call; without a status as long as it has no answer."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    #: The client's end of the connection that it came by; None where it has gone already.
    line: int | None
    status: int | None = None
    at: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        """As patterns name it."""
        return f"{self.method} {self.path}"

    @property
    def json(self) -> Any:
        """What was sent, if it was JSON."""
        return json.loads(self.body)


@dataclass(eq=False)
class Fault:
    """One arranged accident."""

    pattern: str
    left: int
    #: Whether what was asked for is done all the same.
    is_after: bool = False
    #: None: the connection is reset.
    answer: web.Response | None = None
    holds: bool = False
    reached: int = 0
    #: Of the call that has met it last.
    line: int | None = None
    _gates: list[Callable[[], object]] = field(default_factory=list)


class Cut(Exception):
    """The connection is to be reset."""


class Refused(Exception):
    """Raised by an endpoint, and answered as an error."""

    def __init__(self, status: int, message: str, reason: str = "invalid") -> None:
        super().__init__(message)
        self.answer = web.json_response(error(status, message, reason), status=status)


class Traffic:
    """All calls of a double, oldest first, and all accidents that wait to happen."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._calls: list[Call] = []
        self._faults: list[Fault] = []

    def calls(self, pattern: str = "*") -> list[Call]:
        """Those that match."""
        with self._changed:
            return [each for each in self._calls if fnmatchcase(each.name, pattern)]

    def count(self, pattern: str = "*") -> int:
        """How many there were."""
        return len(self.calls(pattern))

    def forget(self) -> None:
        """Begin anew, with no accident in store."""
        self.release_all()
        with self._changed:
            self._calls.clear()
            self._faults.clear()

    def wait_for(self, pattern: str, times: int = 1, *, within: float = PATIENCE) -> None:
        """Until there were so many calls."""
        with self._changed:
            are_there = self._changed.wait_for(
                lambda: sum(fnmatchcase(each.name, pattern) for each in self._calls) >= times,
                within,
            )
        assert are_there, f"Waited {within:.0f} s in vain for {pattern}"

    def refuse(
        self,
        pattern: str,
        status: int,
        *,
        body: Any = None,
        times: int = 1,
        is_after: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Answer with a status, and Google's usual words if no others are given.

        Bytes are what no API of Google's answers.
        """
        sent = body if isinstance(body, bytes) else json.dumps(body or error(status)).encode()
        answer = web.Response(
            body=sent, status=status, headers=headers, content_type="application/json"
        )
        return self._add(Fault(pattern, times, is_after, answer))

    def cut(self, pattern: str, *, times: int = 1, is_after: bool = False) -> Fault:
        """Reset the connection."""
        return self._add(Fault(pattern, times, is_after))

    def hang(self, pattern: str, *, times: int = 1, is_after: bool = False) -> Fault:
        """Do not answer until it is released, and then go on as if nothing had been."""
        return self._add(Fault(pattern, times, is_after, holds=True))

    def release_all(self) -> None:
        """Nobody is held any more."""
        with self._changed:
            for fault in self._faults:
                fault.left, gates = 0, fault._gates
                fault._gates = []
                for opens in gates:
                    opens()

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note the call, and let it meet its accident."""
        call = Call(
            request.method,
            request.path,
            request.query,
            request.headers,
            await request.read(),
            line_of(request),
        )
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()
        try:
            answer = await self._stumble(call, is_after=False)
            if answer is None:
                answer = await _answer(request, handler)
                answer = await self._stumble(call, is_after=True) or answer
        except Cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)  # nobody will read it
        with self._changed:
            call.status = answer.status
        return answer

    async def _stumble(self, call: Call, *, is_after: bool) -> web.StreamResponse | None:
        """The answer in place of the real one, if an accident wants one."""
        loop, gate = asyncio.get_running_loop(), asyncio.Event()
        with self._changed:
            fault = next((each for each in self._faults if _fits(each, call, is_after)), None)
            if fault is None:
                return None
            fault.left -= 1
            fault.reached += 1
            fault.line = call.line
            fault._gates.append(lambda: loop.call_soon_threadsafe(gate.set))
            self._changed.notify_all()
        if fault.holds:
            await gate.wait()
            return None
        if fault.answer is None:
            raise Cut
        # One answer is sent once.
        return web.Response(
            body=fault.answer.body, status=fault.answer.status, headers=fault.answer.headers
        )

    def _add(self, fault: Fault) -> Fault:
        with self._changed:
            self._faults.append(fault)
        return fault


def line_of(request: web.Request) -> int | None:
    """The client's end of the connection; None where the client has gone."""
    found = request.transport and request.transport.get_extra_info("peername")
    return int(found[1]) if found else None


def error(status: int, message: str = "arranged by a test", reason: str = "arranged") -> Any:
    """An error as Google's JSON APIs word it."""
    told = {"message": message, "domain": "global", "reason": reason}
    return {"error": {"code": status, "message": message, "errors": [told]}}


def _fits(fault: Fault, call: Call, is_after: bool) -> bool:
    return fault.left > 0 and fault.is_after is is_after and fnmatchcase(call.name, fault.pattern)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as why:
        return why.answer
    except web.HTTPException as unknown:
        # No such endpoint.
        return web.json_response(error(unknown.status, unknown.reason), status=unknown.status)
