"""Google as a whole: accounts, Vertex AI and a place where its videos go."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.google.accounts import PROJECT, Accounts, accounts
from tests.e2e.google.vertex import LOCATION, FakeVertex, Put, fake_vertex
from workers.settings import WorkerSettings

BUCKET = "video-bot-videos"


@dataclass
class Google:
    """What a test needs to reach it, and to see what was done."""

    accounts: Accounts
    vertex: FakeVertex
    key: Path
    files: dict[str, bytes] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to know nobody else."""
        return {
            "VIDEO_PROVIDER": "veo",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_CLOUD_LOCATION": LOCATION,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key),
            "GOOGLE_VERTEX_BASE_URL": self.vertex.url,
            "GCS_BUCKET": BUCKET,
        }

    def settings(self, **changes: str) -> WorkerSettings:
        """What a process makes of that environment."""
        given = {name.lower(): value for name, value in (self.environment | changes).items()}
        return WorkerSettings.model_validate(
            {name: each for name, each in given.items() if name in WorkerSettings.model_fields}
        )


@contextmanager
def google(folder: Path, put: Put | None = None, *, port: int = 0) -> Iterator[Google]:
    """A Google of a test's own, for the block; without `put` its videos are kept in memory."""
    files: dict[str, bytes] = {}
    with ExitStack() as stack:
        found = stack.enter_context(accounts())
        vertex = stack.enter_context(fake_vertex(found, put or files.__setitem__, port=port))
        yield Google(found, vertex, found.write_key(found.new(), folder), files)


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
