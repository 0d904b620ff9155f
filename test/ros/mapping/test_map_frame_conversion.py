"""Results of perception become a frame of the map, or are refused with what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from perception_contrast_msgs.msg import RegionFeature, RegionFeatures
from std_msgs.msg import Header

from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.errors import FrameError, SpaceError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.grid_to_image import GridToImage
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.ros.mapping.frame_conversion import (
    FrameParts,
    map_frame,
    registered_depth,
)
from perception_contrast.ros.messages.detection_messages import detections_message
from perception_contrast.ros.messages.feature_map import to_message
from perception_contrast.ros.messages.image_messages import image_message

pytestmark = pytest.mark.ros
SIZE = (24, 32)
CAMERA = CameraModel(*SIZE, 30.0, 30.0, 15.5, 11.5)
SPACE = "words@0"


def parts() -> FrameParts:
    """A thing of 10 by 8 pixels two metres ahead."""
    header = Header(frame_id="camera")
    found = Detection("mug", Scores(0.9, 0.9, 0.9), (10, 8, 20, 16), np.ones((8, 10), bool), None, "", "1")
    values = np.full(SIZE, 65535, np.uint16)
    values[8:16, 10:20] = 1
    grid = FeatureGrid(
        np.ones((6, 8, 4), np.float32), "words", SPACE, GridToImage.of_resize(SIZE, (6, 8)), SIZE
    )
    region = RegionFeature(id="1", label="mug", semantic=[1.0, 0.0, 0.0, 0.0], spatial=[1.0, 0.0])
    results = {
        "detections": detections_message([found], header),
        "instances": image_message(values, header),
        "region_features": RegionFeatures(
            semantic_space=SPACE, spatial_space="looks@0", tracked=True, regions=[region]
        ),
        "semantic_features": to_message(grid, header),
    }
    return FrameParts(1, "camera", CAMERA, np.full(SIZE, 2.0, np.float32), None, results)


def converted(given: FrameParts) -> Any:
    return map_frame(given, "front", RigidTransform.identity())


def test_a_thing_has_its_mask_and_vectors() -> None:
    frame = converted(parts())
    assert frame.detections[0].mask.all() and frame.detections[0].box == (10, 8, 20, 16)
    assert frame.semantic_space == SPACE and len(frame.vectors[0].spatial) == 2


def no_label(results: dict[str, Any]) -> None:
    results["detections"].detections[0].results = []


def other_id(results: dict[str, Any]) -> None:
    results["detections"].detections[0].id = "7"


def box_of(value: float) -> Callable[[dict[str, Any]], None]:
    def change(results: dict[str, Any]) -> None:
        results["detections"].detections[0].bbox.center.position.x = value

    return change


def score(results: dict[str, Any]) -> None:
    results["detections"].detections[0].results[0].hypothesis.score = float("nan")


def other_space(results: dict[str, Any]) -> None:
    results["semantic_features"].space = "others@1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (no_label, "no label"),
        (other_id, "'7' has no vectors"),
        (box_of(float("nan")), "not finite"),
        (score, "no probability"),
        (other_space, "others@1"),
    ],
)
def test_results_that_contradict_each_other_are_refused(
    change: Callable[[dict[str, Any]], None], said: str
) -> None:
    given = parts()
    change(given.results)
    with pytest.raises(FrameError, match=said):
        converted(given)


@pytest.mark.parametrize("where", [1e300, -500.0, 1e6])
def test_a_box_outside_the_image_has_no_points(where: float) -> None:
    given = parts()
    box_of(where)(given.results)
    frame = converted(given)
    own = SemanticMap(MapSettings(surface_voxel=0.0))
    assert own.integrate(frame).object_ids == (None,)


def test_vectors_of_another_size_in_the_same_space_are_refused() -> None:
    own = SemanticMap(MapSettings(surface_voxel=0.0))
    own.integrate(converted(parts()))
    for kind in ("semantic", "spatial"):
        given = parts()
        setattr(given.results["region_features"].regions[0], kind, [1.0, 0.0, 0.0])
        with pytest.raises(SpaceError, match="3"):
            own.integrate(converted(given))
    own.integrate(converted(parts()))


def test_depth_and_calibration_are_of_the_image_s_view() -> None:
    half = np.full((12, 16), 2.0, np.float32)
    depth, camera = registered_depth(half, replace(CAMERA, height=48, width=64), SIZE)
    assert depth.shape == SIZE and (camera.height, camera.width) == SIZE
    with pytest.raises(FrameError, match="depth of 16x24 is of another view"):
        registered_depth(np.ones((24, 16), np.float32), CAMERA, SIZE)
    with pytest.raises(FrameError, match="camera_info of 40x24 is of another view"):
        registered_depth(half, replace(CAMERA, width=40), SIZE)
