"""Folders of images as frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import save_image
from perception_contrast.recordings.image_folder import ImageFolderSource


def test_folder_in_natural_order_without_its_broken_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (10, 9, 1):
        save_image(tmp_path / f"view{number}.png", np.full((4, 6, 3), (number, 0, 99), np.uint8))
    (tmp_path / "view2.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut")
    (tmp_path / "notes.txt").write_text("not an image")
    frames = list(ImageFolderSource(tmp_path, rate=4.0))
    assert [frame.image[0, 0].tolist() for frame in frames] == [[1, 0, 99], [9, 0, 99], [10, 0, 99]]
    assert [frame.stamp for frame in frames] == [0, 500_000_000, 750_000_000]
    assert "view2.jpg" in caplog.text


def test_folders_without_images(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="holds no image"):
        ImageFolderSource(tmp_path)
    with pytest.raises(PerceptionError, match="does not exist"):
        ImageFolderSource(tmp_path / "none")
    with pytest.raises(PerceptionError, match="rate"):
        ImageFolderSource(tmp_path, rate=0.0)


def test_real_images(shared: Path) -> None:
    frames = list(ImageFolderSource(shared / "data/bedroom_video"))
    assert len(frames) == 40 and {frame.size for frame in frames} == {(540, 960)}
