"""Boxes of a frame's detections, against a block whose place is known, and what stops them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from perception_contrast.core.camera_model import CameraModel, resized_camera
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.frame import Frame
from perception_contrast.mapping.objects.frame_boxes import DepthError, FrameBoxes

CAMERA = CameraModel(240, 320, 260.0, 260.0, 159.5, 119.5)


def detection(box: tuple[int, int, int, int]) -> Detection:
    x0, y0, x1, y1 = box
    return Detection("mug", Scores(0.5, 0.5, 0.9), box, np.ones((y1 - y0, x1 - x0), bool))


def frame(depth: np.ndarray | None = None, camera: CameraModel | None = CAMERA) -> Frame:
    if depth is None:
        depth = np.full((240, 320), 3.0, np.float32)
        depth[80:150, 120:180] = 1.3  # 0.3 m wide, 0.35 m high
    return Frame(np.zeros((240, 320, 3), np.uint8), depth=depth, camera=camera)


def test_a_box_lies_where_the_thing_does_and_one_without_depth_is_none() -> None:
    blind = frame()
    assert blind.depth is not None
    blind.depth[10:40, 10:40] = np.nan
    box, nothing = FrameBoxes().boxes(blind, [detection((120, 80, 180, 150)), detection((10, 10, 40, 40))])
    assert nothing is None and box is not None and box.yaw == 0.0
    np.testing.assert_allclose(box.center, [-0.05, -0.025, 1.3], atol=0.01)
    # The rim of the mask is left out.
    np.testing.assert_allclose(box.size[:2], [0.3, 0.35], atol=0.05)
    assert box.size[2] < 0.02


def test_depth_or_calibration_of_another_size_gives_the_same_box() -> None:
    whole = frame()
    assert whole.depth is not None
    half = replace(whole, depth=np.ascontiguousarray(whole.depth[::2, ::2]))
    twice = replace(whole, camera=resized_camera(CAMERA, (480, 640)))
    boxes = [FrameBoxes().boxes(one, [detection((120, 80, 180, 150))])[0] for one in (whole, half, twice)]
    assert boxes[0] is not None
    for other in boxes[1:]:
        assert other is not None
        np.testing.assert_allclose(boxes[0].center, other.center, atol=0.01)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (replace(frame(), depth=None), "use_depth"),
        (frame(camera=None), "calibration"),
        (frame(camera=replace(CAMERA, width=640, height=360)), "640x360"),
        (frame(np.ones((240, 240), np.float32)), "another view"),
        (frame(np.full((240, 320), 1300.0, np.float32)), "1000 times too large"),
        (frame(np.full((240, 320), 0.0013, np.float32)), "1000 times too small"),
    ],
)
def test_what_stops_boxes_is_said_with_the_remedy(wrong: Frame, text: str) -> None:
    with pytest.raises(DepthError, match=text):
        FrameBoxes().boxes(wrong, [detection((120, 80, 180, 150))])


def test_a_frame_without_any_measured_depth_has_no_boxes_and_is_no_fault() -> None:
    blind = frame(np.full((240, 320), np.nan, np.float32))
    assert FrameBoxes().boxes(blind, [detection((120, 80, 180, 150))]) == (None,)
