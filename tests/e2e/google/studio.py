"""All of Google that a video needs: accounts, Veo on Vertex AI, and the bucket it writes to."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.google.accounts import PROJECT, Accounts
from tests.e2e.google.cloud import Cloud, google_cloud
from tests.e2e.google.storage import FakeStorage
from tests.e2e.google.vertex import LOCATION, FakeVertex, fake_vertex
from workers.settings import WorkerSettings


@dataclass(frozen=True)
class Google:
    """What a test needs to reach it, and to see what was done."""

    cloud: Cloud
    vertex: FakeVertex

    @property
    def accounts(self) -> Accounts:
        """Who may call."""
        return self.cloud.accounts

    @property
    def storage(self) -> FakeStorage:
        """Where the videos lie."""
        return self.cloud.storage

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that makes its videos here."""
        return self.cloud.environment | {
            "VIDEO_PROVIDER": "veo",
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_CLOUD_LOCATION": LOCATION,
            "GOOGLE_VERTEX_BASE_URL": self.vertex.url,
        }

    def settings(self, **changes: str) -> WorkerSettings:
        """What a process makes of that environment."""
        given = {name.lower(): value for name, value in (self.environment | changes).items()}
        known = WorkerSettings.model_fields
        return WorkerSettings.model_validate(
            {name: value for name, value in given.items() if name in known}
        )


@contextmanager
def google(folder: Path, *, port: int = 0) -> Iterator[Google]:
    """A Google of a test's own, for the block; Vertex AI is at `port`, if one is given."""
    with google_cloud(folder) as cloud:

        def put(address: str, content: bytes) -> None:
            bucket, _, name = address.removeprefix("gs://").partition("/")
            cloud.storage.put(bucket, name, content)

        with fake_vertex(cloud.accounts, put, port=port) as vertex:
            yield Google(cloud, vertex)


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
