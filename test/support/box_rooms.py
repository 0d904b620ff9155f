"""Frames of rooms made of boxes."""

from __future__ import annotations

from collections.abc import Sequence

from perception_contrast.bench.mapping.box_room import Corners, depth_of, looking, walls
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame

__all__ = ("CAMERA", "Corners", "depth_of", "frame_of", "looking", "walls")

CAMERA = CameraModel(120, 160, 100.0, 100.0, 79.5, 59.5)


def frame_of(boxes: Sequence[Corners], pose: RigidTransform, camera: CameraModel = CAMERA) -> MapFrame:
    return MapFrame(0, "front", camera, depth_of(boxes, pose, camera), pose)
