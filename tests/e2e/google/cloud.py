"""Accounts and Cloud Storage together, and the environment that leads Google's clients there."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.google.accounts import PROJECT, Account, Accounts, accounts
from tests.e2e.google.storage import FakeStorage, fake_storage

BUCKET = "video-bot-videos"


@dataclass(frozen=True)
class Cloud:
    """A project with one bucket, and one service account that may use it."""

    accounts: Accounts
    storage: FakeStorage
    account: Account
    key_file: Path

    @property
    def environment(self) -> dict[str, str]:
        """For processes that find everything of Google's here."""
        return {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key_file),
            "STORAGE_EMULATOR_HOST": self.storage.url,
            "GCS_BUCKET": BUCKET,
        }


@contextmanager
def google_cloud(folder: Path) -> Iterator[Cloud]:
    """A cloud of a test's own, for the block; the key's file is in `folder`."""
    with accounts() as people, fake_storage(people) as storage:
        account = people.new()
        storage.new_bucket(BUCKET, account)
        yield Cloud(people, storage, account, people.write_key(account, folder))
