"""Paths that a browser names are opened only inside the folders that the studio was given."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception_contrast_studio.server.blobs import BlobStore
from perception_contrast_studio.server.folders import FolderError, Folders


def test_paths_outside_are_refused_also_through_links(tmp_path: Path) -> None:
    given, outside = tmp_path / "given", tmp_path / "given_too"
    given.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("x")
    (given / "image.png").write_text("y")
    (given / "link").symlink_to(outside)
    folders = Folders(datasets=(given,))
    assert folders.checked(given / "image.png") == given / "image.png"
    for path in (
        outside / "secret",
        given / ".." / "given_too",
        given / "link" / "secret",
        "/etc/passwd",
        "a\0b",
    ):
        with pytest.raises(FolderError):
            folders.checked(path)


def test_data_of_pages_goes_with_them_and_stays_bounded() -> None:
    store = BlobStore(max_bytes=100)
    first = store.add(bytes(60), owner="a")
    second = store.add(bytes(60), owner="b")
    assert store.size == 60 and first != second
    store.drop_owner("b")
    assert store.size == 0
