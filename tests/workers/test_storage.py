"""What every storage has to do, whichever it is."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from uuid import UUID, uuid4

import pytest

from workers import storage
from workers.settings import WorkerSettings
from workers.storage import STORAGES, Storage, StorageUnavailable
from workers.storage.folder import MARKER, FolderStorage, path_of

MakeStorage = Callable[[], Storage]

AT_ONCE = 16


@pytest.fixture(params=sorted(STORAGES))
def make_storage(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStorage:
    """Make objects for one and the same empty place, as every worker has one."""
    settings = WorkerSettings(video_storage=request.param, output_dir=tmp_path / "videos")
    return lambda: storage.load(settings)


def test_every_request_has_a_prefix_of_its_own(make_storage: MakeStorage) -> None:
    one, other = uuid4(), uuid4()
    prefix = make_storage().prefix_for(one)
    assert prefix == make_storage().prefix_for(one)
    assert not make_storage().prefix_for(other).startswith(prefix)
    assert prefix.endswith("/")


def test_one_claim_gets_the_marker_and_keeps_it(make_storage: MakeStorage) -> None:
    mine, another = uuid4(), uuid4()
    prefix = make_storage().prefix_for(uuid4())
    assert make_storage().create_marker(prefix, mine)
    assert not make_storage().create_marker(prefix, another)
    assert make_storage().create_marker(prefix, mine)
    assert make_storage().create_marker(make_storage().prefix_for(uuid4()), another)


def test_a_marker_that_is_taken_away_is_there_for_the_next_claim(
    make_storage: MakeStorage,
) -> None:
    found = make_storage()
    former, next_one = uuid4(), uuid4()
    prefix = found.prefix_for(uuid4())
    # There need not be any.
    found.remove_marker(prefix)
    assert found.create_marker(prefix, former)
    found.remove_marker(prefix)
    assert found.create_marker(prefix, next_one)
    assert not found.create_marker(prefix, former)


def test_of_any_number_of_claims_at_once_one_gets_the_marker(make_storage: MakeStorage) -> None:
    start = Barrier(AT_ONCE)

    def create(prefix: str) -> UUID | None:
        claim, mine = uuid4(), make_storage()
        start.wait()
        return claim if mine.create_marker(prefix, claim) else None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(20):
            prefix = make_storage().prefix_for(uuid4())
            [winner] = filter(None, threads.map(create, [prefix] * AT_ONCE))
            assert make_storage().create_marker(prefix, winner)


def test_a_marker_is_no_video(make_storage: MakeStorage) -> None:
    found = make_storage()
    prefix = found.prefix_for(uuid4())
    assert found.outputs(prefix) == []
    assert found.create_marker(prefix, uuid4())
    assert found.outputs(prefix) == []


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


def test_a_video_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = FolderStorage(tmp_path)
    folder = path_of(found.prefix_for(uuid4()))
    folder.mkdir()
    (folder / "a film.mp4").write_bytes(b"film")
    [address] = found.outputs(f"{folder.as_uri()}/")
    assert found.size(address) == 4
    with found.open(address) as video:
        assert video.read(3) == b"fil"
    gone = f"{folder.as_uri()}/gone.mp4"
    for ask in (found.size, found.open):
        with pytest.raises(StorageUnavailable, match="cannot be read: No such file"):
            ask(gone)
