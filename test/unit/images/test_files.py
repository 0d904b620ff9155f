"""Images to and from files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import load_image, save_image


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG"])
def test_saved_images_come_back(tmp_path: Path, suffix: str) -> None:
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, :15] = (250, 20, 60)
    save_image(tmp_path / f"a{suffix}", image)
    assert np.abs(load_image(tmp_path / f"a{suffix}").astype(int) - image).mean() < 4
    assert [file.name for file in tmp_path.iterdir()] == [f"a{suffix}"]


def test_label_images_keep_16_bits(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 300], [65535, 7, 256]], np.uint16)
    save_image(tmp_path / "labels.png", labels)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "labels.png"), cv2.IMREAD_UNCHANGED), labels)


def test_images_that_cannot_be_saved(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    for path, source_image in (
        ("a.gif", image),
        ("a.png", image[:0]),
        ("a.jpg", image[..., 0].astype(np.uint16)),
        ("a.png", image.astype(np.float32)),
    ):
        with pytest.raises(PerceptionError):
            save_image(tmp_path / path, source_image)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PerceptionError, match=r"none\.png"):
        load_image(tmp_path / "none.png")
    (tmp_path / "bad.png").write_bytes(b"x")
    with pytest.raises(FrameError, match=r"bad\.png"):
        load_image(tmp_path / "bad.png")
