"""Videos in a local folder: one folder a request, ``file://`` addresses."""

import shutil
import time
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit
from uuid import UUID

from workers.settings import WorkerSettings
from workers.storage import MARKER, StorageUnavailable


class FolderStorage:
    """Keeps the outputs of a request in a folder named after it."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    def prefix_for(self, request_id: UUID) -> str:
        """``file:///…/<id>/``."""
        return f"{(self._root / str(request_id)).as_uri()}/"

    def create_marker(self, prefix: str, claim: UUID) -> bool:
        """Create the marker's file exclusively, with the claim in it, or read whose it is.

        One that was made and not written, for the disk was full say, is nobody's.
        """
        folder = path_of(prefix)
        marker = folder / MARKER
        try:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with marker.open("x") as file:
                    file.write(str(claim))
            except FileExistsError:
                return marker.read_text() == str(claim)
        except OSError as error:
            raise StorageUnavailable(f"{folder} cannot be written: {error.strerror}") from error
        return True

    def is_marked(self, prefix: str) -> bool:
        """Look for the marker's file."""
        try:
            (path_of(prefix) / MARKER).stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StorageUnavailable(f"{prefix} cannot be read: {error.strerror}") from error
        return True

    def remove_marker(self, prefix: str) -> None:
        """Remove the marker's file, if it is there."""
        try:
            (path_of(prefix) / MARKER).unlink(missing_ok=True)
        except OSError as error:
            raise StorageUnavailable(f"{prefix} cannot be written: {error.strerror}") from error

    def outputs(self, prefix: str) -> list[str]:
        """Every ``*.mp4`` in the folder. A file that is dated ahead is not there yet."""
        now = time.time()
        try:
            return [
                path.as_uri()
                for path in sorted(path_of(prefix).glob("*.mp4"))
                if not path.name.startswith(".") and path.stat().st_mtime <= now
            ]
        except OSError as error:
            raise StorageUnavailable(f"{prefix} cannot be read: {error.strerror}") from error

    def size(self, address: str) -> int:
        """Bytes of the file."""
        try:
            return path_of(address).stat().st_size
        except OSError as error:
            raise StorageUnavailable(f"{address} cannot be read: {error.strerror}") from error

    def open(self, address: str) -> BinaryIO:
        """The file."""
        try:
            return path_of(address).open("rb")
        except OSError as error:
            raise StorageUnavailable(f"{address} cannot be read: {error.strerror}") from error

    def link(self, address: str) -> None:
        """Nobody but who can read the folder."""
        del address

    def remove(self, request_id: UUID, prefix: str | None) -> bool:
        """Remove the request's folder, whatever is in it; links in it are not followed."""
        folder = path_of(self.prefix_for(request_id))
        is_ours = prefix is None or urlsplit(prefix).scheme == "file"
        if prefix is not None and is_ours and path_of(prefix) != folder:
            # The outputs may well be there, for a process with another OUTPUT_DIR.
            raise StorageUnavailable(f"{prefix} is not the request's folder in {self._root}")
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise StorageUnavailable(f"{folder} cannot be removed: {error}") from error
        return is_ours


def path_of(address: str) -> Path:
    """The path of a ``file://`` address."""
    return Path(unquote(urlsplit(address).path))


def make(settings: WorkerSettings) -> FolderStorage:
    """The storage in ``OUTPUT_DIR``."""
    return FolderStorage(settings.output_dir)
