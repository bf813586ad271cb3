"""Many HTTP requests at once, each timed from its first byte to the last of its answer."""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What came back, and after how many seconds."""

    status: int
    headers: Mapping[str, str]
    body: str
    seconds: float

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


async def ask(port: int, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """One request, on a connection of its own."""
    begin = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    given = {"Host": "localhost", "Connection": "close"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    raw = await reader.read()
    writer.close()
    head, _, body = raw.decode().partition("\r\n\r\n")
    status, *rest = head.split("\r\n")
    pairs = (line.split(": ", 1) for line in rest)
    return Answer(
        int(status.split()[1]),
        {name.lower(): value for name, value in pairs},
        body,
        time.monotonic() - begin,
    )


def get(port: int, path: str, *, method: str = "GET", **headers: str) -> Answer:
    """One request by itself."""
    return asyncio.run(ask(port, path, method=method, **headers))
