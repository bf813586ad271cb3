"""The way of every request: known, allowed, not too often, applied, answered.

Answers carry `Content-Type: application/json` and no charset, as Discord's do; an answer of 429
carries `Via`, without which clients take it for a block by the proxy in front.
"""

import json
from email.utils import formatdate
from typing import Any

from aiohttp import web

from tests.e2e.discord.errors import Json, Refusal, plain
from tests.e2e.discord.gateway.frames import reset
from tests.e2e.discord.rest import (
    applications,
    bodies,
    callbacks,
    channels,
    places,
    webhooks,
)
from tests.e2e.discord.rest.faults import Ending, Fault, Faults, When
from tests.e2e.discord.rest.ledger import BROKEN, LOST, Entry, Ledger
from tests.e2e.discord.rest.rate_limits import RateLimits, Standing
from tests.e2e.discord.rest.routing import API, Call, Reply, Route, Routes
from tests.e2e.discord.world import World


class Cut(Exception):
    """The connection is to be broken."""


class Rest:
    """The REST API of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.gateway_url = ""
        self.ledger = Ledger(world)
        self.faults = Faults(world)
        self.rate_limits = RateLimits()
        self._routes = Routes()
        for each in (applications, callbacks, channels, places, webhooks):
            self._routes.extend(each.routes)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request, or cut it."""
        path = request.path.removeprefix(API)
        entry = self.ledger.open(request.method, path)
        peer = request.transport and request.transport.get_extra_info("peername")
        entry.line = peer[1] if peer else None
        try:
            response = await self._respond(request, path, entry)
        except (Cut, ConnectionError):
            # A client that was killed half way through its request ends up here as well.
            self.ledger.close(entry, LOST, None)
            reset(request)
            return web.Response(status=500)  # nobody will read it
        finally:
            if entry.status is None:
                self.ledger.close(entry, BROKEN, None)
        return response

    async def _respond(self, request: web.Request, path: str, entry: Entry) -> web.Response:
        headers: dict[str, str] = {}
        try:
            found = self._routes.find(request.method, path)
            if found is None:
                raise plain(404, "Not Found")
            route, parameters = found
            entry.route = route.name
            self._authorise(request, route)
            body = await bodies.read(request)
            entry.files = len(body.uploads)
            await self._stumble(entry, When.RECEIVED)
            standing = self.rate_limits.take(route.name, parameters)
            headers = standing.headers
            if standing.is_exceeded:
                _slow_down(standing, headers)
            call = Call(self.world, parameters, request.query, body, self.gateway_url)
            with self.world.moving():
                made = route.handler(call)
            await self._stumble(entry, When.APPLIED)
        except Refusal as refused:
            headers |= _headers(refused)
            return self._send(entry, refused.body, refused.status, headers, refused.code)
        reply = made if isinstance(made, Reply) else Reply(made, 204 if made is None else 200)
        return self._send(entry, reply.data, reply.status, headers)

    def _authorise(self, request: web.Request, route: Route) -> None:
        if not route.needs_token:
            return
        if request.headers.get("Authorization") != f"Bot {self.world.token}":
            raise plain(401, "Unauthorized")

    async def _stumble(self, entry: Entry, when: When) -> None:
        """Meet the accident that is arranged here, if any."""
        fault = self.faults.take(str(entry.route), entry.files, when)
        if fault is None:
            return
        await fault.meet(entry.line)
        if fault.ending is Ending.CUT:
            raise Cut
        if fault.ending is Ending.REFUSED:
            raise _arranged(fault)

    def _send(
        self, entry: Entry, data: Any, status: int, headers: dict[str, str], code: int | None = None
    ) -> web.Response:
        self.ledger.close(entry, status, code)
        headers = {**headers, "Date": formatdate(self.world.clock.now(), usegmt=True)}
        if status == 204:
            return web.Response(status=status, headers=headers)
        found = {**headers, "Content-Type": "application/json"}
        return web.Response(status=status, headers=found, body=json.dumps(data).encode())


def _arranged(fault: Fault) -> Refusal:
    """The refusal that a test has arranged."""
    if fault.retry_after is None:
        reasons = {413: "Request entity too large", 404: "Not Found"}
        message = reasons.get(fault.status, "Internal Server Error")
        if fault.code:
            return Refusal(fault.status, fault.code, message)
        return plain(fault.status, message)
    return _limited(fault.retry_after, is_global=fault.is_global)


def _limited(retry_after: float, *, is_global: bool) -> Refusal:
    refused = Refusal(429, 0, "You are being rate limited.")
    refused.body |= {"retry_after": round(retry_after, 3), "global": is_global}
    return refused


def _slow_down(standing: Standing, headers: Json) -> None:
    headers["X-RateLimit-Scope"] = "user"
    raise _limited(standing.reset_after, is_global=False)


def _headers(refused: Refusal) -> dict[str, str]:
    """What a refusal tells beside its body."""
    if refused.status != 429:
        return {}
    seconds = refused.body["retry_after"]
    told = {
        "Via": "1.1 google",
        "Retry-After": str(int(-(-seconds // 1))),
        "X-RateLimit-Limit": "5",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset-After": f"{seconds:.3f}",
        "X-RateLimit-Scope": "global" if refused.body["global"] else "user",
    }
    return {**told, "X-RateLimit-Global": "true"} if refused.body["global"] else told
