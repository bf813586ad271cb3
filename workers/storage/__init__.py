"""Where videos lie: a small protocol, one module each, loaded by name."""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import BinaryIO, Final, Protocol, cast
from uuid import UUID

from workers.settings import WorkerSettings

STORAGES: Final = {"folder": "workers.storage.folder", "gcs": "workers.storage.gcs"}
"""Modules with a function ``make(settings)``; none is imported unless it is chosen."""

MARKER: Final = ".claim"
"""The name of the mark under a request's prefix."""

_PUBLIC: Final = re.compile(r"https?://[^\s<>]+\Z")


class StorageUnavailable(Exception):
    """The storage did not do what was asked of it. Transient; the message is for operators."""


class Storage(Protocol):
    """Every method raises StorageUnavailable when it cannot do its work."""

    def prefix_for(self, request_id: UUID) -> str:
        """The address under which the outputs of one request lie, and those of no other."""

    def create_marker(self, prefix: str, claim: UUID) -> bool:
        """Leave a mark that the holder of `claim` is about to make the paid call.

        Of any number of claims one gets True. It gets True again as long as its mark is there, so
        whoever met an error may ask once more and learn whether the mark was made all the same.
        """

    def is_marked(self, prefix: str) -> bool:
        """Whether anybody has left his mark under `prefix`. Nothing is left there for that."""

    def remove_marker(self, prefix: str) -> None:
        """Take the mark away, because the call was certainly not taken."""

    def outputs(self, prefix: str) -> list[str]:
        """The addresses of the finished videos under `prefix`; they do not expire."""

    def size(self, address: str) -> int:
        """Bytes of a video."""

    def open(self, address: str) -> BinaryIO:
        """A video, to be read bit by bit, and closed."""

    def link(self, address: str) -> str | None:
        """Where anybody can see a video now, for a while; None where only an operator can.

        It may be signed: it is shown to who may see the video, and kept and logged nowhere.
        """

    def remove(self, request_id: UUID, prefix: str | None) -> bool:
        """Remove all outputs of a request, and its mark. That nothing is there does no harm.

        `prefix` is what the row says. It never decides what is removed, which is what lies under
        :meth:`prefix_for` the id. False: by the row, outputs lie in a storage of another kind,
        and were left. One of this kind that is not the request's own is StorageUnavailable.
        """


def link_to(storage: Storage, addresses: Sequence[str] | None) -> str | None:
    """Where anybody can see the first of a request's videos now. Raises StorageUnavailable."""
    for address in addresses or ():
        # What is public already, as the system before this one had it, is its own link.
        return address if _PUBLIC.match(address) else storage.link(address)
    return None


def load(settings: WorkerSettings) -> Storage:
    """The storage that the settings name."""
    name = settings.video_storage or "folder"
    return cast("Storage", import_module(STORAGES[name]).make(settings))
