"""Veo on Vertex AI: `predictLongRunning` and `fetchPredictOperation`, and nothing else.

What a call meets is arranged by the prompt that it brings, so that many can be under way at once.
Every call is held against what Google documents; a test that ends with a violation fails.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

from aiohttp import web

from tests.e2e.google.accounts import PROJECT, Accounts
from tests.e2e.google.clip import clip
from tests.e2e.google.scripts import STATUSES, Accident, Ending, Manner, Script, made
from tests.e2e.google.serving import served
from tests.e2e.google.traffic import Cut, Traffic, line_of
from tests.e2e.google.veo_rules import violations
from tests.workers.waiting import PATIENCE

LOCATION: Final = "us-central1"
MODELS: Final = frozenset(
    {"veo-3.1-generate-001", "veo-3.1-fast-generate-001", "veo-3.1-lite-generate-001"}
)
"""Those that are served; every other has been retired, or never was."""
PUBLISHER: Final = f"projects/{PROJECT}/locations/{LOCATION}/publishers/google/models"

Put = Callable[[str, bytes], object]
"""Puts a file at an address like ``gs://bucket/folder/name``."""


@dataclass(eq=False)
class Operation:
    """What one accepted call comes to."""

    name: str
    prompt: str
    storage_uri: str
    script: Script
    videos: tuple[str, ...] = ()
    has_ended: bool = False


@dataclass(frozen=True)
class Call:
    """One call: a paid one, or a question."""

    prompt: str
    body: Any
    is_start: bool
    #: The client's end of the connection that it came by; None where it has gone already.
    line: int | None


class FakeVertex:
    """What a test holds in its hands. Everything here may be used from any thread."""

    def __init__(self, accounts: Accounts, put: Put) -> None:
        self.traffic = Traffic()
        self.url = ""
        #: Whatever a call had that is not documented.
        self.violations: list[str] = []
        #: What is to be seen of a prompt.
        self.film: Callable[[str], bytes] = lambda _prompt: clip()
        self._accounts = accounts
        self._put = put
        self._lock = threading.Condition()
        self._scripts: dict[str, Script] = {}
        self._calls: list[Call] = []
        self._operations: dict[str, Operation] = {}

    def arrange(
        self,
        prompt: str,
        *starts: Accident,
        polls: tuple[Accident, ...] = (),
        ending: Ending | None = None,
        seconds: float | None = 0,
    ) -> str:
        """What becomes of calls with this prompt, which is returned."""
        with self._lock:
            self._scripts[prompt] = Script([*starts], [*polls], ending or made(), seconds)
        return prompt

    def starts(self, prompt: str) -> list[Any]:
        """The bodies of all calls of ``predictLongRunning`` with this prompt: what may be paid."""
        return [each.body for each in self.calls if each.is_start and each.prompt == prompt]

    def taken(self) -> Counter[UUID]:
        """How often a call was accepted for the place of each request: what was paid for."""
        with self._lock:
            places = [each.storage_uri for each in self._operations.values()]
        return Counter(UUID(place.rstrip("/").rpartition("/")[2]) for place in places)

    def polls(self, prompt: str) -> int:
        """How often it was asked about."""
        return sum(not each.is_start and each.prompt == prompt for each in self.calls)

    @property
    def calls(self) -> list[Call]:
        """All calls, oldest first."""
        with self._lock:
            return [*self._calls]

    def wait_for_start(self, prompt: str) -> None:
        """Until a call with this prompt is there."""
        with self._lock:
            is_there = self._lock.wait_for(
                lambda: any(each.is_start and each.prompt == prompt for each in self._calls),
                PATIENCE,
            )
        assert is_there, f"Waited {PATIENCE:.0f} s in vain for a call with {prompt}"

    def finish(self, prompt: str) -> None:
        """Let its operations come to their end."""
        with self._lock:
            found = [each for each in self._operations.values() if each.prompt == prompt]
        for operation in found:
            self._end(operation)

    def routes(self) -> web.RouteTableDef:
        """The endpoints."""
        found = web.RouteTableDef()
        at = "/v1/projects/{project}/locations/{location}/publishers/google/models/{model}"
        found.post(f"{at}:predictLongRunning")(self._predict)
        found.post(f"{at}:fetchPredictOperation")(self._fetch)
        return found

    async def _predict(self, request: web.Request) -> web.Response:
        body = await request.json()
        prompt = _prompt_of(body)
        self._note(request, prompt, body, is_start=True)
        if refusal := self._refused(request, violations(body)):
            return refusal
        script = self._scripts.get(prompt) or Script()
        accident = self._next(script.starts)
        if accident is not None and not accident.is_taken:
            return await _meet(accident)
        name = f"{PUBLISHER}/{request.match_info['model']}/operations/{uuid4()}"
        operation = Operation(name, prompt, body["parameters"]["storageUri"], script)
        with self._lock:
            self._operations[name] = operation
        if script.seconds is not None:
            asyncio.get_running_loop().call_later(script.seconds, self._end, operation)
        return await _meet(accident) if accident else web.json_response({"name": name})

    async def _fetch(self, request: web.Request) -> web.Response:
        body = await request.json()
        is_documented = isinstance(body, dict) and [*body] == ["operationName"]
        wrong = [] if is_documented else [f"fetchPredictOperation may not say {body}"]
        if refusal := self._refused(request, wrong):
            return refusal
        name = body["operationName"]
        operation = self._operations.get(name)
        if operation is None or f"/{request.match_info['model']}/" not in name:
            return _error(404, f"The operation {name} is not found.")
        self._note(request, operation.prompt, body, is_start=False)
        if accident := self._next(operation.script.polls):
            return await _meet(accident)
        if not operation.has_ended:
            return web.json_response({"name": name})
        answer = operation.script.ending.answer
        if "response" in answer:
            videos = [{"gcsUri": each, "mimeType": "video/mp4"} for each in operation.videos]
            answer = {"response": answer["response"] | ({"videos": videos} if videos else {})}
        return web.json_response({"name": name, "done": True, **answer})

    def _refused(self, request: web.Request, wrong: list[str]) -> web.Response | None:
        """The answer to a call that is not as Google documents it, or not allowed."""
        at = request.match_info
        if at["project"] != PROJECT or at["location"] != LOCATION:
            wrong = [*wrong, f"{request.path} is in another project or location"]
        if request.query_string or request.content_type != "application/json":
            wrong = [*wrong, f"{request.path_qs} came as {request.content_type}"]
        with self._lock:
            self.violations += wrong
        if self._accounts.caller(request) is None:
            return _error(401, "Request had invalid authentication credentials.")
        if at["model"] not in MODELS:
            return _error(404, f"Publisher Model `{PUBLISHER}/{at['model']}` was not found.")
        return _error(400, "; ".join(wrong)) if wrong else None

    def _note(self, request: web.Request, prompt: str, body: Any, *, is_start: bool) -> None:
        with self._lock:
            self._calls.append(Call(prompt, body, is_start, line_of(request)))
            self._lock.notify_all()

    def _next(self, accidents: list[Accident]) -> Accident | None:
        with self._lock:
            return accidents.pop(0) if accidents else None

    def _end(self, operation: Operation) -> None:
        """The videos are there before the operation says so."""
        # Google makes a folder of its own for every operation.
        folder = f"{operation.storage_uri.rstrip('/')}/{time.time_ns()}"
        names = [f"{folder}/sample_{n}.mp4" for n in range(operation.script.ending.videos)]
        for name in names:
            self._put(name, self.film(operation.prompt))
        operation.videos = tuple(names)
        operation.has_ended = True


@contextmanager
def fake_vertex(accounts: Accounts, put: Put, *, port: int = 0) -> Iterator[FakeVertex]:
    """A Vertex AI of a test's own, for the block. Fails where a call was not as documented."""
    found = FakeVertex(accounts, put)
    with served(found.routes(), found.traffic, port=port) as listening:
        found.url = f"http://127.0.0.1:{listening}"
        yield found
    assert not found.violations


async def _meet(accident: Accident) -> web.Response:
    match accident.manner:
        case Manner.CUT:
            raise Cut
        case Manner.HANG:
            # The server's end ends it.
            await asyncio.Event().wait()
    return web.Response(
        text=accident.text,
        status=accident.status,
        content_type=accident.content_type,
        headers={"Location": accident.location} if accident.location else None,
    )


def _error(status: int, message: str) -> web.Response:
    told = {"code": status, "message": message, "status": STATUSES[status]}
    return web.json_response({"error": told}, status=status)


def _prompt_of(body: Any) -> str:
    try:
        return str(body["instances"][0]["prompt"])
    except (KeyError, IndexError, TypeError):
        return ""
