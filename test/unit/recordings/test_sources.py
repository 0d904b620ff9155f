"""Videos, folders of images and webcams as frames; images on disk."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_contrast.core.errors import FrameError, PerceptionError
from perception_contrast.images.files import load_image, save_image
from perception_contrast.recordings.sources import ImageFolderSource, VideoSource, WebcamSource


def write_video(path: Path, frames: int = 8, rate: float = 20.0) -> Path:
    """Red grows and blue shrinks from frame to frame."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    if not writer.isOpened():
        pytest.skip("this OpenCV cannot write MJPG")
    for index in range(frames):
        writer.write(np.full((48, 64, 3), (200 - 20 * index, 90, 20 * index), np.uint8))
    writer.release()
    return path


def test_video(tmp_path: Path) -> None:
    source = VideoSource(write_video(tmp_path / "clip.avi"), frame_id="head")
    assert source.rate == pytest.approx(20.0)
    for _ in range(2):
        frames = list(source)
        assert [frame.stamp for frame in frames] == [index * 50_000_000 for index in range(8)]
        for index, frame in enumerate(frames):
            expected = np.array([20 * index, 90, 200 - 20 * index])
            assert np.abs(frame.image.mean((0, 1)) - expected).max() < 6
            assert frame.size == (48, 64) and frame.frame_id == "head"


def test_unreadable_videos(tmp_path: Path) -> None:
    with pytest.raises(PerceptionError, match="does not exist"):
        VideoSource(tmp_path / "none.mp4")
    for data in (b"", b"not a video at all" * 50):
        (tmp_path / "bad.mp4").write_bytes(data)
        with pytest.raises(PerceptionError, match="ffmpeg"):
            VideoSource(tmp_path / "bad.mp4")


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


def test_absent_webcam() -> None:
    with pytest.raises(PerceptionError, match="webcam 97"):
        WebcamSource(97)


def test_real_images(shared: Path) -> None:
    frames = list(ImageFolderSource(shared / "data/bedroom_video"))
    assert len(frames) == 40 and {frame.size for frame in frames} == {(540, 960)}


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
