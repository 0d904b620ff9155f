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
        stamp: Nanoseconds.
        camera_name: Which camera it is, of several that feed one map.
        camera: Intrinsics of ``depth`` and of the image that ``detections`` lie in, which have one size.
        depth: (H, W) float32 metres along the optical axis, NaN where there is none; registered to the image.
        pose: The camera's optical frame (REP 103: x right, y down, z forward) in the map.
        image: (H, W, 3) uint8 RGB; None where the map gets no colours.
        semantic: Dense features that are comparable with texts, of the same image; None where there are none.
        detections: What was found, with masks; best first.
        vectors: One for each detection, in their order.
        labels: What was looked for; a thing in view that none of them found is doubted. None where that is
            not known: then nothing is doubted.
        semantic_space: Identity of the space of ``semantic`` and of the vectors comparable with texts.
        spatial_space: Identity of the space of the image encoder's vectors.
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
