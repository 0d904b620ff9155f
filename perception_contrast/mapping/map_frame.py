"""MapFrame: one posed image with depth and what was found in it, as the map takes it."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.arrays import DepthImage, RgbImage
from perception_contrast.core.camera_model import CameraModel
from perception_contrast.core.detection import Detection, RegionVectors
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.rigid_transform import RigidTransform

__all__ = ["MapFrame", "RegionVectors"]


@dataclass(frozen=True)
class MapFrame:
    """One image of one camera, with its pose in the map.

    Attributes:
        stamp: Time of the image in nanoseconds.
        camera_name: Name of the camera, if several feed one map.
        camera: Intrinsic parameters of ``depth`` and of the image of ``detections``, which have one size.
        depth: (H, W) float32 metres along the optical axis, registered to the image; NaN where there is none.
        pose: The camera's optical frame (REP 103: x right, y down, z forward) in the map.
        image: (H, W, 3) uint8 RGB; None if the map gets no colours.
        semantic: Dense features of the same image that are comparable with texts; None if there are none.
        detections: What was found, with masks, the most probable first.
        vectors: One entry for each detection, in the same order.
        labels: The labels that were searched for: an object in view that none of them finds loses confidence.
            None if they are not known; then no object loses confidence.
        semantic_space: Embedding space of ``semantic`` and of the vectors that are comparable with texts.
        spatial_space: Embedding space of the image encoder's vectors.
    """

    stamp: int
    camera_name: str
    camera: CameraModel
    depth: DepthImage
    pose: RigidTransform
    image: RgbImage | None = None
    semantic: FeatureGrid | None = None
    detections: tuple[Detection, ...] = ()
    vectors: tuple[RegionVectors, ...] = ()
    labels: frozenset[str] | None = None
    semantic_space: str = ""
    spatial_space: str = ""
