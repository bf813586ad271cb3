"""Cloud Storage: links that anybody can open for a while, and everything that can go wrong."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import requests

from db.removal import Leaving
from tests.e2e.google.cloud import BUCKET, Cloud, google_cloud
from tests.e2e.google.front import cloud_run
from tests.e2e.google.storage import OBJECT_VIEWER
from tests.workers.storages import gcs
from tests.workers.waiting import until
from workers import removal
from workers.storage import StorageUnavailable
from workers.storage.gcs import GcsStorage

FILM = b"film" * 1000
UPLOAD = "POST /upload/*"
IMPATIENT = 0.4
"""Seconds that a call may hang."""
IN_TIME = 5.0
"""Seconds for all that is tried, and for a busy machine."""


@pytest.fixture(scope="module")
def shared_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with google_cloud(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def cloud(shared_cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """With nothing asked of it yet, and no accident in store."""
    for name, value in shared_cloud.environment.items():
        monkeypatch.setenv(name, value)
    shared_cloud.storage.traffic.forget()
    shared_cloud.accounts.traffic.forget()
    shared_cloud.storage.ahead = timedelta(0)
    return shared_cloud


@dataclass(frozen=True)
class Film:
    """A video that lies there."""

    request_id: UUID
    prefix: str
    address: str


@pytest.fixture
def film(cloud: Cloud) -> Film:
    request_id = uuid4()
    # A provider makes folders of its own.
    cloud.storage.put(BUCKET, f"{request_id}/8123/sample_0.mp4", FILM)
    prefix = f"gs://{BUCKET}/{request_id}/"
    return Film(request_id, prefix, f"{prefix}8123/sample_0.mp4")


def names(cloud: Cloud, request_id: UUID) -> list[str]:
    return cloud.storage.names(BUCKET, f"{request_id}/")


def test_a_link_opens_with_nothing_but_itself_and_dies(cloud: Cloud, film: Film) -> None:
    link = gcs(cloud).link(film.address)
    assert link is not None
    assert requests.get(link, timeout=5).content == FILM
    part = requests.get(link, headers={"Range": "bytes=4-7"}, timeout=5)
    assert (part.status_code, part.content) == (206, b"film")
    cloud.storage.ahead = timedelta(hours=23, minutes=59)
    assert requests.get(link, timeout=5).ok
    cloud.storage.ahead = timedelta(hours=24, minutes=1)
    assert requests.get(link, timeout=5).status_code == 400
    # Not for another video, and not without its signature.
    other = f"{film.request_id}/8123/sample_1.mp4"
    cloud.storage.put(BUCKET, other, FILM)
    cloud.storage.ahead = timedelta(0)
    assert requests.get(link.replace("sample_0", "sample_1"), timeout=5).status_code == 403
    assert requests.get(link.partition("?")[0], timeout=5).status_code == 403


def test_with_a_key_a_link_costs_no_call(cloud: Cloud, film: Film) -> None:
    storage = gcs(cloud)
    assert storage.link(film.address) != storage.link(film.address + "x")
    assert cloud.storage.traffic.count() == cloud.accounts.traffic.count() == 0


def test_a_public_link_has_no_signature_and_takes_no_credentials(
    cloud: Cloud, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json")
    link = gcs(cloud, is_public=True).link(film.address)
    assert link == f"{cloud.storage.url}/{BUCKET}/{film.request_id}/8123/sample_0.mp4"
    cloud.storage.bucket(BUCKET).is_public = True
    assert requests.get(link, timeout=5).content == FILM
    cloud.storage.bucket(BUCKET).is_public = False
    assert requests.get(link, timeout=5).status_code == 403


def test_what_lies_elsewhere_has_no_link_and_cannot_be_read(cloud: Cloud) -> None:
    elsewhere = "file:///srv/videos/sample_0.mp4"
    assert gcs(cloud).link(elsewhere) is None
    for ask in (gcs(cloud).size, gcs(cloud).open):
        with pytest.raises(StorageUnavailable, match="does not lie in Cloud Storage"):
            ask(elsewhere)


LINK = """
import sys
from workers.storage import StorageUnavailable
from workers.storage.gcs import GcsStorage
try:
    print(GcsStorage(sys.argv[1], None, is_public=False).link(sys.argv[2]))
except StorageUnavailable as error:
    print(error)
"""


def test_a_process_without_a_key_has_iam_sign(cloud: Cloud, film: Film, tmp_path: Path) -> None:
    accounts = cloud.accounts
    accounts.attached = cloud.account
    with cloud_run(accounts, tmp_path) as keyless:
        given = {**os.environ, **keyless}

        def link() -> str:
            command = [sys.executable, "-c", LINK, BUCKET, film.address]
            return subprocess.run(
                command, env=given, capture_output=True, text=True, check=True
            ).stdout.strip()

        refused = link()
        accounts.signers.add(cloud.account.email)
        signed = link()
    assert refused == (
        f"There is no link to {film.address}: IAM does not sign; grant the service account "
        "roles/iam.serviceAccountTokenCreator on itself"
    )
    assert requests.get(signed, timeout=5).content == FILM
    assert (
        accounts.traffic.count(f"POST /v1/projects/-/serviceAccounts/{cloud.account.email}:*") == 2
    )


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "Only a service account can sign links; run it as one, or set GCS_LINKS=public"),
        (
            {"STORAGE_EMULATOR_HOST": ""},
            f"There is no link to gs://{BUCKET}/x.mp4: there are no usable credentials; set "
            "GOOGLE_APPLICATION_CREDENTIALS to a key file, or run it as a service account",
        ),
    ],
    ids=["nobody", "nobody at Google's own"],
)
def test_without_credentials_it_says_what_is_missing(
    tmp_path: Path, more: dict[str, str], words: str
) -> None:
    given = {**os.environ, "NO_GCE_CHECK": "true", "HOME": str(tmp_path), **more}
    given.pop("GOOGLE_APPLICATION_CREDENTIALS")
    command = [sys.executable, "-c", LINK, BUCKET, f"gs://{BUCKET}/x.mp4"]
    said = subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout
    assert said.strip() == words


def test_a_mark_that_was_made_unseen_is_ours_when_asked_again(cloud: Cloud) -> None:
    impatient, storage = gcs(cloud, patience=IMPATIENT), gcs(cloud)
    for arrange in (cloud.storage.traffic.cut, cloud.storage.traffic.hang):
        mine, another = uuid4(), uuid4()
        prefix = storage.prefix_for(uuid4())
        arrange(UPLOAD, times=100, is_after=True)
        with pytest.raises(StorageUnavailable, match="cannot be marked"):
            impatient.create_marker(prefix, mine)
        cloud.storage.traffic.forget()
        assert storage.create_marker(prefix, mine)
        assert not storage.create_marker(prefix, another)


def test_a_removal_that_comes_late_takes_no_mark_of_another(cloud: Cloud) -> None:
    impatient, storage = gcs(cloud, patience=IMPATIENT), gcs(cloud)
    prefix = storage.prefix_for(uuid4())
    storage.create_marker(prefix, uuid4())
    cloud.storage.traffic.hang("DELETE *")
    with pytest.raises(StorageUnavailable, match="cannot be removed"):
        impatient.remove_marker(prefix)
    storage.remove_marker(prefix)
    assert storage.create_marker(prefix, uuid4())
    late, _ = cloud.storage.traffic.calls("DELETE *")
    cloud.storage.traffic.release_all()
    until(lambda: late.status, what="it was carried out")
    assert not storage.create_marker(prefix, uuid4())


def test_a_mark_is_made_though_one_answer_is_lost(cloud: Cloud) -> None:
    storage = gcs(cloud)
    prefix = storage.prefix_for(uuid4())
    cloud.storage.traffic.cut(UPLOAD, is_after=True)
    assert storage.create_marker(prefix, uuid4())
    assert cloud.storage.traffic.count(UPLOAD) == 2


def test_a_mark_is_one_call_that_succeeds_only_where_there_is_none(cloud: Cloud) -> None:
    storage = gcs(cloud)
    prefix = storage.prefix_for(uuid4())
    storage.create_marker(prefix, uuid4())
    storage.outputs(prefix)
    # And nothing else is asked of anybody.
    upload, _ = cloud.storage.traffic.calls()
    assert upload.query["ifGenerationMatch"] == "0"
    assert cloud.accounts.traffic.count() == 1


def test_a_list_is_read_to_its_last_page(cloud: Cloud, film: Film) -> None:
    storage = gcs(cloud)
    for number in range(5):
        cloud.storage.put(BUCKET, f"{film.request_id}/8123/sample_{number}.mp4", FILM)
    cloud.storage.put(BUCKET, f"{film.request_id}/8123/empty.mp4", b"")
    cloud.storage.page_size = 2
    try:
        assert len(storage.outputs(film.prefix)) == 5
        assert cloud.storage.traffic.count("GET /storage/v1/b/*/o") == 3
        assert storage.remove(film.request_id, film.prefix)
    finally:
        cloud.storage.page_size = 1000
    assert names(cloud, film.request_id) == []


def test_a_video_whose_connection_breaks_is_read_to_the_end(cloud: Cloud, film: Film) -> None:
    cloud.storage.cut_media_after = 100
    with gcs(cloud).open(film.address) as video:
        assert video.read() == FILM
    assert cloud.storage.traffic.count("GET /download/*") == 2


def test_a_video_that_is_replaced_while_it_is_read_is_not_mixed(cloud: Cloud) -> None:
    request_id = uuid4()
    name = f"{request_id}/sample_0.mp4"
    cloud.storage.put(BUCKET, name, bytes(3 << 20))
    with gcs(cloud).open(f"gs://{BUCKET}/{name}") as video:
        assert video.read(1)
        cloud.storage.put(BUCKET, name, FILM)
        with pytest.raises(StorageUnavailable, match="cannot be read: Cloud Storage answered 412"):
            video.read()


def test_a_token_that_is_not_accepted_any_more_is_replaced(cloud: Cloud, film: Film) -> None:
    storage = gcs(cloud)
    assert storage.size(film.address) == len(FILM)
    cloud.accounts.expire_tokens()
    assert storage.size(film.address) == len(FILM)
    assert cloud.accounts.traffic.count("POST /token") == 2


ASKED: dict[str, Callable[[GcsStorage, Film], object]] = {
    "mark": lambda storage, film: storage.create_marker(film.prefix, uuid4()),
    "unmark": lambda storage, film: storage.remove_marker(film.prefix),
    "list": lambda storage, film: storage.outputs(film.prefix),
    "size": lambda storage, film: storage.size(film.address),
    "open": lambda storage, film: storage.open(film.address),
    "remove": lambda storage, film: storage.remove(film.request_id, film.prefix),
}

FAULTS: dict[str, tuple[Callable[[Cloud], object], str]] = {
    "429": (lambda cloud: cloud.storage.traffic.refuse("*", 429, times=100), "too often (429)"),
    "500": (lambda cloud: cloud.storage.traffic.refuse("*", 500, times=100), "answered 500"),
    "503": (lambda cloud: cloud.storage.traffic.refuse("*", 503, times=100), "answered 503"),
    "403": (
        lambda cloud: cloud.storage.traffic.refuse("*", 403, times=100),
        "forbidden (403, arranged); grant the service account roles/storage.objectUser",
    ),
    "401": (lambda cloud: cloud.storage.traffic.refuse("*", 401, times=100), "credentials (401)"),
    "hang": (lambda cloud: cloud.storage.traffic.hang("*", times=100), "did not answer in time"),
    "cut": (lambda cloud: cloud.storage.traffic.cut("*", times=100), "cannot be reached"),
    "no token": (
        lambda cloud: cloud.accounts.traffic.refuse("POST /token", 400, times=100),
        "Google gives no token",
    ),
    "token hangs": (
        lambda cloud: cloud.accounts.traffic.hang("POST /token", times=100),
        "did not answer in time",
    ),
    "nonsense": (
        lambda cloud: cloud.storage.traffic.refuse("*", 200, body=b"<html>Log in", times=100),
        "Google's answer cannot be used",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_goes_wrong_is_told_in_time_and_in_words(
    cloud: Cloud, film: Film, fault: str
) -> None:
    arrange, words = FAULTS[fault]
    arrange(cloud)
    for name, ask in ASKED.items():
        began = time.monotonic()
        with pytest.raises(StorageUnavailable) as told:
            ask(gcs(cloud, patience=IMPATIENT), film)
        # Nothing is tried for ever.
        assert time.monotonic() - began < IN_TIME, name
        said = str(told.value)
        assert words in said, name
        assert "ya29" not in said
        assert told.value.__suppress_context__
    assert names(cloud, film.request_id)


def test_who_may_only_read_is_told_which_role_is_missing(
    cloud: Cloud, film: Film, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = cloud.accounts.new("reader")
    cloud.storage.bucket(BUCKET).rights[reader.email] = OBJECT_VIEWER
    monkeypatch.setenv(
        "GOOGLE_APPLICATION_CREDENTIALS", str(cloud.accounts.write_key(reader, tmp_path))
    )
    storage = gcs(cloud)
    assert storage.size(film.address) == len(FILM)
    link = storage.link(film.address)
    assert link is not None
    assert requests.get(link, timeout=5).ok
    with pytest.raises(StorageUnavailable) as told:
        storage.create_marker(film.prefix, uuid4())
    assert str(told.value) == (
        f"{film.prefix} cannot be marked: it is forbidden (403, forbidden); grant the service "
        "account roles/storage.objectUser on the bucket"
    )


def test_a_bucket_that_does_not_exist_is_named(cloud: Cloud) -> None:
    storage = GcsStorage("no-such-bucket", None, is_public=False)
    prefix = storage.prefix_for(uuid4())
    for ask in (lambda: storage.create_marker(prefix, uuid4()), lambda: storage.outputs(prefix)):
        with pytest.raises(StorageUnavailable, match=r"no-such-bucket/.* GCS_BUCKET wrong\?"):
            ask()
    assert cloud.storage.traffic.count()


def test_an_emulator_without_a_scheme_is_told_of(
    cloud: Cloud, film: Film, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.storage.url.removeprefix("http://"))
    with pytest.raises(StorageUnavailable, match=r"STORAGE_EMULATOR_HOST .* begin with http://"):
        gcs(cloud).outputs(film.prefix)


def test_outputs_of_many_requests_are_removed_side_by_side(cloud: Cloud) -> None:
    storage = gcs(cloud)
    leaving = [Leaving(uuid4(), datetime.now(UTC), None) for _ in range(20)]
    for each in leaving:
        cloud.storage.put(BUCKET, f"{each.id}/8123/sample_0.mp4", FILM)
        storage.create_marker(storage.prefix_for(each.id), uuid4())
    cloud.storage.traffic.hang("DELETE *", times=removal.THREADS)
    with ThreadPoolExecutor(1) as thread:
        removing = thread.submit(removal.remove_outputs, storage, leaving)
        # As many as may be wait for their answers at once.
        cloud.storage.traffic.wait_for("DELETE *", removal.THREADS)
        cloud.storage.traffic.release_all()
        assert removing.result() == [each.id for each in leaving]
    assert not [name for each in leaving for name in names(cloud, each.id)]


def test_what_cannot_be_removed_now_holds_up_nothing_else(cloud: Cloud, film: Film) -> None:
    other = uuid4()
    cloud.storage.put(BUCKET, f"{other}/sample_0.mp4", FILM)
    cloud.storage.traffic.refuse(f"DELETE *{film.request_id}*", 403, times=100)
    now = datetime.now(UTC)
    leaving = [Leaving(each, now, None) for each in (film.request_id, other)]
    assert removal.remove_outputs(gcs(cloud), leaving) == [other]
    assert names(cloud, film.request_id)
