"""Vertex AI on a local port, and the provider that calls it by Google's own library."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from uuid import uuid4

import pytest

from db.records import Request
from tests.e2e.google.cloud import BUCKET
from tests.e2e.google.studio import Google, google
from tests.workers.test_answers import REQUEST
from workers import providers
from workers.providers import Provider


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """One Google for a module, where every call has to be as documented."""
    with (
        google(tmp_path_factory.mktemp("google")) as found,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def veo(there: Google) -> Provider:
    """The provider, as a worker has it."""
    return providers.load(there.settings())


@pytest.fixture(scope="module")
def impatient(there: Google) -> Provider:
    """One that waits for half a second."""
    return providers.load(there.settings(GENERATION_TIMEOUT_SECONDS="5"))


def asked(prompt: str, **changes: object) -> Request:
    """A request that is about to be started."""
    given = {"id": uuid4(), "prompt": prompt, "provider": "veo", "model": None, **changes}
    return replace(REQUEST, **given)  # type: ignore[arg-type]


def prefix_of(request: Request) -> str:
    """Where its video is to lie."""
    return f"gs://{BUCKET}/{request.id}/"


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port at which connections are not accepted, and not refused either."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port
