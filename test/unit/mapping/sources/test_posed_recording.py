"""PosedRecording: recorded images with their depth, calibration and pose."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import recordings
from recordings import COLOR, DEPTH, START, drive, write

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.sources.posed_recording import PosedRecording


def test_each_image_has_its_depth_and_pose(tmp_path: Path) -> None:
    source = PosedRecording(write(tmp_path / "bag", drive(5)))
    assert (source.image_topic, source.depth_topic, source.map_frame) == (COLOR, DEPTH, "")
    posed = list(source)
    assert len(posed) == source.count() == 5 and not source.skipped and source.map_frame == "map"
    for number, one in enumerate(posed):
        assert one.frame.stamp == START + number * recordings.SECOND
        np.testing.assert_allclose(one.pose.translation, [0.5 * number, 0, 0.2], atol=1e-9)
        # The camera looks along the robot's x.
        np.testing.assert_allclose(one.pose.rotation[:, 2], [1, 0, 0], atol=1e-9)
        depth = one.frame.depth
        assert depth is not None and depth.shape == one.frame.image.shape[:2] == (48, 64)
        assert np.nanmedian(depth) == pytest.approx(0.1 * (number + 1))
        # The pixel of the depth image that has none is no depth in the image either.
        assert np.isnan(depth[0, 0])
        assert one.frame.camera is not None and one.frame.camera.fx == pytest.approx(50.0)


def test_images_without_depth_or_pose_are_left_out_and_counted(tmp_path: Path) -> None:
    messages = drive(6)
    last = START + 5 * recordings.SECOND
    without_depth = [
        m for m in messages if not (m.topic == DEPTH and m.stamp < START + recordings.SECOND // 2)
    ]
    without_pose = [m for m in without_depth if not (m.topic == "/tf" and m.stamp > last)]
    source = PosedRecording(write(tmp_path / "bag", without_pose))
    assert [one.frame.stamp for one in source] == [START + n * recordings.SECOND for n in (1, 2, 3, 4)]
    assert source.skipped == {"no_depth": 1, "no_pose": 1}


def test_depth_of_a_wrong_unit_is_left_out(tmp_path: Path) -> None:
    messages = [
        recordings.raw(one.stamp, np.full((24, 32), 2.0e3, np.float32), DEPTH, "32FC1")
        if one.topic == DEPTH
        else one
        for one in drive(3)
    ]
    source = PosedRecording(write(tmp_path / "bag", messages))
    assert list(source) == [] and source.skipped == {"depth_scale": 3}


@pytest.mark.parametrize(
    ("lacking", "reason"),
    [
        (DEPTH, "no depth"),
        ("/cam/color/camera_info", "no usable calibration"),
        ("/tf", "no transforms"),
        (COLOR, "no topic with readable images"),
    ],
)
def test_what_is_lacking_is_named(tmp_path: Path, lacking: str, reason: str) -> None:
    kept = [one for one in drive(4) if not one.topic.startswith(lacking)]
    path = write(tmp_path / "bag", kept)
    with pytest.raises(PerceptionError, match=reason):
        PosedRecording(path)


def test_the_kitchen_is_read(shared: Path) -> None:
    source = PosedRecording(shared / "data/kitchen_rgbd")
    posed = list(source)
    assert len(posed) > 40
    first = posed[0].frame
    assert first.depth is not None and np.isfinite(first.depth).mean() > 0.5
