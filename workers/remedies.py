"""What helps against what a check has met, by the words that were answered."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from workers.settings import WorkerSettings

_DATABASE: Final[Mapping[str, str]] = {
    r"authentication failed|no password supplied|role \".*\" does not exist": (
        "Correct user and password in DATABASE_URL"
    ),
    r"database \".*\" does not exist": "Create that database, or correct its name in DATABASE_URL",
    r"translate host name": "Correct the host in DATABASE_URL",
    r"pg_hba\.conf": "Let Postgres take connections from this machine: pg_hba.conf",
}
_REDIS: Final[Mapping[str, str]] = {
    r"(?i)username-password|WRONGPASS|NOAUTH|authentication|without any password": (
        "Correct the password in REDIS_URL"
    ),
    r"(?i)DB index": "Correct the number at the end of REDIS_URL",
}
_GCS: Final = (
    "Run as a service account that may create, list, read and delete objects in GCS_BUCKET, "
    "and sign addresses: workers/README.rst, Veo on Vertex AI, has the commands"
)


LINK: Final = (
    "With GCS_LINKS=signed the account that signs must be allowed to read GCS_BUCKET, with public "
    "everybody; and this machine must reach it: workers/README.rst, There is no link to a video"
)


def of_database(answer: str) -> str:
    """What helps where Postgres answers so, or not at all."""
    return _first(_DATABASE, answer) or "Start Postgres, or correct DATABASE_URL"


def of_redis(answer: str) -> str:
    """What helps where Redis answers so, or not at all."""
    return _first(_REDIS, answer) or "Start Redis, or correct REDIS_URL"


def of_storage(settings: WorkerSettings, answer: str) -> str:
    """What helps where the storage cannot be used."""
    if settings.video_storage == "gcs":
        if "there are no usable credentials" in answer:
            return "Set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run as a service account"
        return _GCS
    for place in _with_parents(settings.output_dir):
        if place.exists() and not place.is_dir():
            return f"Name a folder in OUTPUT_DIR: {place} is a file"
    return "Let the user of the workers write to OUTPUT_DIR"


@contextmanager
def as_it_was(folder: Path) -> Iterator[None]:
    """Take away again what folders the block makes, where they are empty."""
    made = [place for place in _with_parents(folder) if not place.exists()]
    try:
        yield
    finally:
        with suppress(OSError):
            for place in made:
                place.rmdir()


def _with_parents(folder: Path) -> list[Path]:
    return [folder.absolute(), *folder.absolute().parents]


def _first(remedies: Mapping[str, str], answer: str) -> str | None:
    return next((told for words, told in remedies.items() if re.search(words, answer)), None)
