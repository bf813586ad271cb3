"""Every kind of storage, with a provider's hand on what lies in it."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from tests.e2e.google.cloud import BUCKET, Cloud
from workers.storage import Storage
from workers.storage.folder import FolderStorage, path_of
from workers.storage.gcs import PATIENCE, GcsStorage


@dataclass(frozen=True)
class Place:
    """One empty place of a kind, which every worker has its own object for."""

    make: Callable[[], Storage]
    #: Lays down an output of a request, as a provider does.
    put: Callable[[UUID, str, bytes], object]
    #: For the block, whatever is asked of it fails.
    broken: Callable[[], AbstractContextManager[object]]


def folder(root: Path) -> Place:
    """A folder."""

    def put(request_id: UUID, name: str, content: bytes) -> None:
        path = path_of(FolderStorage(root).prefix_for(request_id)) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    @contextmanager
    def broken() -> Iterator[None]:
        aside = root.with_name("aside")
        root.mkdir(exist_ok=True)
        root.rename(aside)
        root.write_text("no folder")
        yield
        root.unlink()
        aside.rename(root)

    return Place(lambda: FolderStorage(root), put, broken)


def bucket(cloud: Cloud) -> Place:
    """A bucket of Cloud Storage."""

    def put(request_id: UUID, name: str, content: bytes) -> None:
        cloud.storage.put(BUCKET, f"{request_id}/{name}", content)

    @contextmanager
    def broken() -> Iterator[None]:
        cloud.storage.traffic.refuse("*", 403, times=10_000)
        yield
        cloud.storage.traffic.forget()

    return Place(lambda: gcs(cloud), put, broken)


def gcs(cloud: Cloud, *, is_public: bool = False, patience: float = PATIENCE) -> GcsStorage:
    """One more worker's."""
    project = cloud.environment["GOOGLE_CLOUD_PROJECT"]
    return GcsStorage(BUCKET, project, is_public=is_public, patience=patience)
