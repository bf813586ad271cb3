"""Videos in a bucket of Cloud Storage: ``gs://`` addresses, and links that are made when asked for.

Every call ends: after :data:`PATIENCE` where nothing comes, and soon after it where Google wants to
be asked again. Everything here may be done twice: a mark is created only where there is none.
"""

import io
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import cached_property
from typing import Any, BinaryIO, Final, cast
from uuid import UUID

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.transport.requests import AuthorizedSession
from google.cloud.storage import Blob, Client
from google.cloud.storage.retry import DEFAULT_RETRY

from db.settings import SettingsError
from workers.settings import WorkerSettings
from workers.storage import MARKER, StorageUnavailable
from workers.storage.gcs_access import session, signing
from workers.storage.gcs_errors import translated

SCHEME: Final = "gs://"
PATIENCE: Final = 5.0
"""Seconds for connecting, and for every wait for bytes."""
CHUNK: Final = 1 << 20
"""Bytes of a video that are asked for at once."""
LINK_FOR: Final = timedelta(hours=24)
MAY_SIGN: Final = "grant the service account roles/iam.serviceAccountTokenCreator on itself"


class GcsStorage:
    """Keeps the outputs of a request under its id in one bucket."""

    def __init__(
        self, bucket: str, project: str | None, *, is_public: bool, patience: float = PATIENCE
    ) -> None:
        self._bucket = bucket
        self._project = project
        self._is_public = is_public
        self._patience = patience
        retry = DEFAULT_RETRY.with_delay(0.2, 1.0).with_timeout(patience / 2)
        self._how: dict[str, Any] = {"timeout": patience, "retry": retry}

    # Both at first use: connections do not survive a fork. That two threads make two does no harm.
    @cached_property
    def _session(self) -> AuthorizedSession:
        return session()

    @cached_property
    def _client(self) -> Client:
        http = self._session
        return Client(project=self._project, credentials=http.credentials, _http=http)

    def prefix_for(self, request_id: UUID) -> str:
        """``gs://bucket/<id>/``."""
        return f"{SCHEME}{self._bucket}/{request_id}/"

    def create_marker(self, prefix: str, claim: UUID) -> bool:
        """Create the marker's object only if there is none, or read whose it is."""
        with translated(f"{prefix} cannot be marked"):
            marker = self._blob(prefix + MARKER)
            try:
                marker.upload_from_string(str(claim), if_generation_match=0, **self._how)
            except PreconditionFailed:
                return bool(marker.download_as_bytes(**self._how) == str(claim).encode())
        return True

    def is_marked(self, prefix: str) -> bool:
        """Ask for the marker's object."""
        with translated(f"{prefix} cannot be read"), suppress(NotFound):
            self._found(prefix + MARKER)
            return True
        return False

    def remove_marker(self, prefix: str) -> None:
        """Delete the marker's object, if it is there; and no other that comes after it.

        A call that nobody waits for any more may be carried out all the same.
        """
        with (
            translated(f"The mark of {prefix} cannot be removed"),
            suppress(NotFound, PreconditionFailed),
        ):
            marker = self._found(prefix + MARKER)
            marker.delete(if_generation_match=marker.generation, **self._how)

    def outputs(self, prefix: str) -> list[str]:
        """Every ``*.mp4`` with anything in it, however deep: Veo makes folders of its own."""
        with translated(f"{prefix} cannot be listed"):
            return sorted(
                f"{SCHEME}{each.bucket.name}/{each.name}"
                for each in self._list(prefix)
                if each.name.endswith(".mp4") and each.size
            )

    def size(self, address: str) -> int:
        """Bytes of the object."""
        with translated(f"{address} cannot be read"):
            return int(self._found(address).size)

    def open(self, address: str) -> BinaryIO:
        """The object as it is now, read in pieces of :data:`CHUNK`."""
        with translated(f"{address} cannot be read"):
            found = _Object(self._found(address), self._how)
            return cast("BinaryIO", io.BufferedReader(found, CHUNK))

    def link(self, address: str) -> str | None:
        """An address that is signed for :data:`LINK_FOR`, or the public one."""
        if not address.startswith(SCHEME):
            return None
        with translated(f"There is no link to {address}", remedy=MAY_SIGN):
            if self._is_public:
                return str(_blob(Client.create_anonymous_client(), address).public_url)
            signs = signing(self._session.credentials, self._patience)
            blob = self._blob(address)
            return str(
                blob.generate_signed_url(version="v4", expiration=LINK_FOR, credentials=signs)
            )

    def remove(self, request_id: UUID, prefix: str | None) -> bool:
        """Delete every object under the request's prefix, whatever it is."""
        own = self.prefix_for(request_id)
        is_ours = prefix is None or prefix.startswith(SCHEME)
        if prefix is not None and is_ours and prefix.rstrip("/") != own.rstrip("/"):
            # The outputs may well be there, for a process with another GCS_BUCKET.
            raise StorageUnavailable(f"{prefix} is not the request's own in {self._bucket}")
        with translated(f"{own} cannot be removed"):
            for each in self._list(own):
                self._delete(each)
        return is_ours

    def _blob(self, address: str) -> Blob:
        return _blob(self._client, address)

    def _found(self, address: str) -> Blob:
        """The object, with what is known of it."""
        blob = self._blob(address)
        blob.reload(**self._how)
        return blob

    def _list(self, prefix: str) -> Iterator[Blob]:
        bucket, _, path = prefix.removeprefix(SCHEME).partition("/")
        fields = "items(name,size),nextPageToken"
        return iter(self._client.list_blobs(bucket, prefix=path, fields=fields, **self._how))

    def _delete(self, blob: Blob) -> None:
        with suppress(NotFound):
            blob.delete(**self._how)


def _blob(client: Client, address: str) -> Blob:
    """The object of that address, of which nothing is known yet."""
    bucket, _, name = address.removeprefix(SCHEME).partition("/")
    if not address.startswith(SCHEME) or not name:
        raise StorageUnavailable(f"{address} does not lie in Cloud Storage")
    return client.bucket(bucket).blob(name)


class _Object(io.RawIOBase):
    """One generation of an object, a range at a time."""

    def __init__(self, blob: Blob, how: dict[str, Any]) -> None:
        super().__init__()
        self._blob = blob
        self._how = {**how, "if_generation_match": blob.generation, "checksum": None}
        self._read = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer, at most with :data:`CHUNK` bytes; 0 at the end."""
        most = min(len(buffer), CHUNK, self._blob.size - self._read)
        if most <= 0:
            return 0
        with translated(f"{SCHEME}{self._blob.bucket.name}/{self._blob.name} cannot be read"):
            last = self._read + most - 1
            found = self._blob.download_as_bytes(start=self._read, end=last, **self._how)
        buffer[: len(found)] = found
        self._read += len(found)
        return len(found)


def make(settings: WorkerSettings) -> GcsStorage:
    """The storage in ``GCS_BUCKET``. Raises SettingsError where there is none."""
    if settings.gcs_bucket is None:
        raise SettingsError("GCS_BUCKET is required by VIDEO_STORAGE=gcs")
    return GcsStorage(
        settings.gcs_bucket,
        settings.google_cloud_project,
        is_public=settings.gcs_links == "public",
    )
