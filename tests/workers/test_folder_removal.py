"""The folder storage removes the folder of one request, and nothing else, whatever a row says."""

from pathlib import Path
from uuid import uuid4

import pytest

from workers.storage import StorageUnavailable
from workers.storage.folder import FolderStorage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the videos of others in it, in a folder with something precious."""
    (tmp_path / "precious").write_text("precious")
    root = tmp_path / "videos"
    (root / str(uuid4())).mkdir(parents=True)
    (root / ".sandbox").mkdir()
    return root


def everything(root: Path) -> set[Path]:
    return {*root.parent.rglob("*")}


def test_outputs_and_marker_go_and_going_twice_does_no_harm(root: Path) -> None:
    storage, request_id = FolderStorage(root), uuid4()
    before = everything(root)
    prefix = storage.prefix_for(request_id)
    storage.create_marker(prefix, uuid4())
    (root / str(request_id) / "sample_0.mp4").write_text("video")
    assert storage.remove(request_id, prefix)
    assert everything(root) == before
    assert storage.remove(request_id, prefix)
    assert storage.remove(request_id, None)


@pytest.mark.parametrize(
    "prefix",
    [
        "file:///",
        "file://",
        "{root}/",
        "{root}/{id}/..",
        "{root}/{id}/../../",
        "{root}/{id}/%2e%2e/%2E%2E/",
        "{root}/%2e%2e/",
        "{root}/.sandbox/",
        "{other}",
        "file:///elsewhere/{id}/",
        "file:",
    ],
)
def test_a_prefix_never_leads_out_of_the_requests_own_folder(root: Path, prefix: str) -> None:
    storage, request_id = FolderStorage(root), uuid4()
    (other,) = (path for path in root.iterdir() if not path.name.startswith("."))
    (root / str(request_id)).mkdir()
    before = everything(root)
    told = prefix.format(root=root.as_uri(), id=request_id, other=other.as_uri())
    with pytest.raises(StorageUnavailable, match="is not the request's folder"):
        storage.remove(request_id, told)
    assert everything(root) == before


@pytest.mark.parametrize("prefix", ["gs://bucket/", "../../", "/etc", "", "https://x/y"])
def test_a_prefix_of_another_kind_of_storage_is_left(root: Path, prefix: str) -> None:
    before = everything(root)
    assert not FolderStorage(root).remove(uuid4(), prefix)
    assert everything(root) == before


def test_links_are_not_followed(root: Path) -> None:
    storage, inside, itself = FolderStorage(root), uuid4(), uuid4()
    (root / str(inside)).mkdir()
    (root / str(inside) / "link").symlink_to(root.parent)
    (root / str(itself)).symlink_to(root.parent)
    assert storage.remove(inside, None)
    with pytest.raises(StorageUnavailable, match="cannot be removed"):
        storage.remove(itself, None)
    assert (root.parent / "precious").exists()
