"""All of Google that a video needs: accounts, Veo on Vertex AI, and the bucket it writes to."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.delivery import Studio, new_studio
from tests.e2e.discord import FakeDiscord
from tests.e2e.google.accounts import PROJECT, Accounts
from tests.e2e.google.cloud import Cloud, google_cloud
from tests.e2e.google.storage import FakeStorage
from tests.e2e.google.vertex import LOCATION, FakeVertex, fake_vertex
from tests.workers.conftest import MakeSystem
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
def google(folder: Path) -> Iterator[Google]:
    """A Google of a test's own, for the block."""
    with google_cloud(folder) as cloud, opened(cloud) as vertex:
        yield Google(cloud, vertex)


@contextmanager
def opened(cloud: Cloud, *, port: int = 0) -> Iterator[FakeVertex]:
    """Vertex AI for the block, at `port` if one is given; its videos go to the cloud's buckets."""

    def put(address: str, content: bytes) -> None:
        bucket, _, name = address.removeprefix("gs://").partition("/")
        cloud.storage.put(bucket, name, content)

    with fake_vertex(cloud.accounts, put, port=port) as vertex:
        yield vertex


def veo_studio(
    stack: ExitStack,
    make_system: MakeSystem,
    discord: FakeDiscord,
    folder: Path,
    **environment: object,
) -> tuple[Google, Studio]:
    """A Google, and a studio without a worker yet whose videos it makes: as many as are asked for.

    What it takes for a call is what is paid for.
    """
    there = stack.enter_context(google(folder))
    given = {**there.environment, "RESCUE_AFTER_SECONDS": 1, "VEO_STARTS_PER_MINUTE": 10_000}
    studio = new_studio(stack, make_system, discord, **{**given, **environment})
    studio.system.calls = there.vertex.taken
    return there, studio


def closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
