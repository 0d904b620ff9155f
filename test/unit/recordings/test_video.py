"""Videos as frames."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast.recordings.video import VideoSource


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
