"""What every storage has to do, whichever it is."""

import os
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from tests.e2e.google.cloud import Cloud, google_cloud
from tests.workers import storages
from tests.workers.storages import Place
from workers import storage
from workers.settings import WorkerSettings
from workers.storage import MARKER, STORAGES, Storage, StorageUnavailable
from workers.storage.folder import FolderStorage, path_of

AT_ONCE = 16
MIB = 1 << 20


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with google_cloud(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture(params=sorted(STORAGES))
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if request.param == "folder":
        return storages.folder(tmp_path / "videos")
    cloud: Cloud = request.getfixturevalue("cloud")
    for name, value in cloud.environment.items():
        monkeypatch.setenv(name, value)
    return storages.bucket(cloud)


def test_every_storage_is_loaded_by_its_name(tmp_path: Path) -> None:
    folder = storage.load(WorkerSettings(output_dir=tmp_path))
    assert folder.prefix_for(uuid4()).startswith(tmp_path.as_uri())
    settings = WorkerSettings(
        video_provider="veo", google_cloud_project="p", gcs_bucket="somewhere"
    )
    found = storage.load(settings)
    request_id = uuid4()
    # Nobody was asked for it, nor for credentials.
    assert found.prefix_for(request_id) == f"gs://somewhere/{request_id}/"


def test_every_request_has_a_prefix_of_its_own(place: Place) -> None:
    one, other = uuid4(), uuid4()
    prefix = place.make().prefix_for(one)
    assert prefix == place.make().prefix_for(one)
    assert not place.make().prefix_for(other).startswith(prefix)
    assert prefix.endswith("/")


def test_one_claim_gets_the_marker_and_keeps_it(place: Place) -> None:
    mine, another = uuid4(), uuid4()
    prefix = place.make().prefix_for(uuid4())
    assert not place.make().is_marked(prefix)
    assert place.make().create_marker(prefix, mine)
    assert place.make().is_marked(prefix)
    assert not place.make().create_marker(prefix, another)
    assert place.make().create_marker(prefix, mine)
    assert place.make().create_marker(place.make().prefix_for(uuid4()), another)


def test_a_marker_that_is_taken_away_is_there_for_the_next_claim(place: Place) -> None:
    found = place.make()
    former, next_one = uuid4(), uuid4()
    prefix = found.prefix_for(uuid4())
    # There need not be any.
    found.remove_marker(prefix)
    assert found.create_marker(prefix, former)
    found.remove_marker(prefix)
    assert not found.is_marked(prefix)
    assert found.create_marker(prefix, next_one)
    assert not found.create_marker(prefix, former)


def test_of_any_number_of_claims_at_once_one_gets_the_marker(place: Place) -> None:
    start = Barrier(AT_ONCE)
    workers: list[Storage] = [place.make() for _ in range(AT_ONCE)]

    def create(worker: Storage, prefix: str) -> UUID | None:
        claim = uuid4()
        start.wait()
        return claim if worker.create_marker(prefix, claim) else None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(10):
            prefix = place.make().prefix_for(uuid4())
            [winner] = filter(None, threads.map(create, workers, [prefix] * AT_ONCE))
            assert workers[0].create_marker(prefix, winner)


def test_a_marker_is_no_video(place: Place) -> None:
    found = place.make()
    prefix = found.prefix_for(uuid4())
    assert found.outputs(prefix) == []
    assert found.create_marker(prefix, uuid4())
    assert found.outputs(prefix) == []


def test_outputs_are_the_request_s_own_videos_in_order(place: Place) -> None:
    request_id, other = uuid4(), uuid4()
    for name in ("sample_1.mp4", "sample_0.mp4", "sample_0.json"):
        place.put(request_id, name, b"film")
    place.put(other, "sample_0.mp4", b"another")
    found = place.make()
    prefix = found.prefix_for(request_id)
    assert found.create_marker(prefix, uuid4())
    assert found.outputs(prefix) == [f"{prefix}sample_0.mp4", f"{prefix}sample_1.mp4"]


def test_a_video_is_read_as_it_was_written(place: Place) -> None:
    request_id = uuid4()
    content = os.urandom(2 * MIB + 12_345)
    place.put(request_id, "a film.mp4", content)
    found = place.make()
    [address] = found.outputs(found.prefix_for(request_id))
    assert found.size(address) == len(content)
    with found.open(address) as video:
        assert video.read(3) == content[:3]
        assert video.read(2 * MIB) == content[3 : 3 + 2 * MIB]
        assert video.read() == content[3 + 2 * MIB :]
        assert video.read(1) == b""
    with found.open(address) as video:
        assert video.read(10 * MIB) == content


def test_a_video_that_is_read_bit_by_bit_is_never_held_whole(place: Place) -> None:
    request_id = uuid4()
    size = 24 * MIB
    place.put(request_id, "long.mp4", bytes(size))
    found = place.make()
    [address] = found.outputs(found.prefix_for(request_id))
    read = 0
    with found.open(address) as video:
        tracemalloc.start()
        try:
            while part := video.read(MIB):
                read += len(part)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert read == size
    # What the double holds for a moment counts too, for it is in this process.
    assert most < 8 * MIB


def test_what_is_not_there_cannot_be_read(place: Place) -> None:
    found = place.make()
    gone = f"{found.prefix_for(uuid4())}gone.mp4"
    for ask in (found.size, found.open):
        with pytest.raises(StorageUnavailable, match="cannot be read"):
            ask(gone)


def test_what_is_public_already_is_its_own_link(place: Place) -> None:
    found = place.make()
    public = "https://videos.example/0b0b.mp4"
    assert storage.link_to(found, [public]) == public
    for none in (None, [], ["https://videos.example/a\nb"], ["elsewhere://0b0b.mp4"]):
        assert storage.link_to(found, none) is None


def test_all_of_a_request_is_removed_and_nothing_of_another(place: Place) -> None:
    found = place.make()
    request_id, other = uuid4(), uuid4()
    for each in (request_id, other):
        place.put(each, "sample_0.mp4", b"film")
        assert found.create_marker(found.prefix_for(each), uuid4())
    prefix = found.prefix_for(request_id)
    assert found.remove(request_id, prefix)
    assert found.outputs(prefix) == []
    # The mark is gone too, and that nothing is there does no harm.
    assert found.create_marker(prefix, uuid4())
    assert found.remove(request_id, prefix)
    assert found.remove(request_id, None)
    assert len(found.outputs(found.prefix_for(other))) == 1


def test_what_lies_in_another_storage_is_left(place: Place) -> None:
    found = place.make()
    request_id = uuid4()
    assert not found.remove(request_id, f"elsewhere://{request_id}/")
    elsewhere = found.prefix_for(request_id).replace(str(request_id), f"old/{request_id}")
    with pytest.raises(StorageUnavailable, match="is not the request's"):
        found.remove(request_id, elsewhere)


def test_a_storage_that_fails_is_unavailable_and_nothing_else(place: Place) -> None:
    request_id = uuid4()
    place.put(request_id, "sample_0.mp4", b"film")
    found = place.make()
    prefix = found.prefix_for(request_id)
    [address] = found.outputs(prefix)
    asked: list[Callable[[], object]] = [
        lambda: found.create_marker(prefix, uuid4()),
        lambda: found.is_marked(prefix),
        lambda: found.remove_marker(prefix),
        lambda: found.size(address),
        lambda: found.open(address),
        lambda: found.remove(request_id, prefix),
    ]
    with place.broken():
        for ask in asked:
            with pytest.raises(StorageUnavailable, match=r".+: |cannot be"):
                ask()
    assert found.outputs(prefix) == [address]


def test_a_marker_in_a_folder_that_nobody_could_write_to_the_end_is_nobodys(
    tmp_path: Path,
) -> None:
    found = FolderStorage(tmp_path)
    claim = uuid4()
    prefix = found.prefix_for(uuid4())
    path_of(prefix).mkdir()
    (path_of(prefix) / MARKER).touch()
    assert not found.create_marker(prefix, claim)


def test_a_folder_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "videos").write_text("not a folder")
    found = FolderStorage(tmp_path / "videos")
    with pytest.raises(StorageUnavailable, match="cannot be written: Not a directory"):
        found.create_marker(found.prefix_for(uuid4()), uuid4())
