"""The messages of one image as a MapFrame: detections with masks and vectors, features, depth, colours."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Box, DepthImage, FloatArray, RgbImage, Size
from perception_contrast.core.camera_model import CameraModel, resized_camera, same_view
from perception_contrast.core.detection import Detection, RegionVectors, Scores, instance_value
from perception_contrast.core.errors import FrameError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_frame import MapFrame
from perception_contrast.ros.messages.feature_map import to_grid
from perception_contrast.ros.messages.image_messages import channel_array, image_array

RESULTS = ("detections", "instances", "region_features", "semantic_features")


@dataclass(frozen=True)
class FrameParts:
    """What one image gave, decoded, before its pose is known.

    Attributes:
        stamp: Nanoseconds.
        frame_id: The camera's optical frame.
        camera: Intrinsics of the image.
        depth: (H, W) float32 metres, registered to the image.
        image: (H, W, 3) uint8 RGB, or None.
        results: Name of a result to its message.
    """

    stamp: int
    frame_id: str
    camera: CameraModel
    depth: DepthImage
    image: RgbImage | None
    results: dict[str, Any]


def map_frame(
    parts: FrameParts, camera_name: str, pose: RigidTransform, labels: frozenset[str] | None = None
) -> MapFrame:
    """The frame that the map takes.

    Args:
        parts: Of one image.
        camera_name: Which camera it is.
        pose: The camera's optical frame in the map.
        labels: What was looked for; None where that is not known.

    Raises:
        FrameError: Results that contradict each other or are damaged.
    """
    regions = parts.results["region_features"]
    size = (parts.camera.height, parts.camera.width)
    detections, vectors = found_things(parts.results["detections"], parts.results["instances"], regions, size)
    features = parts.results.get("semantic_features")
    semantic = None if features is None else to_grid(features)
    if semantic is not None and regions.semantic_space not in ("", semantic.space):
        raise FrameError(
            "bad_results",
            f"region_features are of {regions.semantic_space}, semantic_features of {semantic.space}; take "
            "both of one perception_node",
        )
    return MapFrame(
        stamp=parts.stamp,
        camera_name=camera_name,
        camera=parts.camera,
        depth=parts.depth,
        pose=pose,
        image=parts.image,
        semantic=semantic,
        detections=detections,
        vectors=vectors,
        labels=labels,
        semantic_space=str(regions.semantic_space) or ("" if semantic is None else semantic.space),
        spatial_space=str(regions.spatial_space),
    )


def found_things(
    detections: Any, instances: Any, regions: Any, size: Size
) -> tuple[tuple[Detection, ...], tuple[RegionVectors, ...]]:
    """Detections with their masks, and their vectors.

    A detection that others hide altogether has an empty mask. Ids count as tracks only where they last.

    Args:
        detections: vision_msgs/Detection2DArray.
        instances: sensor_msgs/Image of the same image, mono16.
        regions: perception_contrast_msgs/RegionFeatures of the same image.
        size: (height, width) of the image.

    Raises:
        FrameError: The messages do not fit each other.
    """
    values = channel_array(instances, "mono16", "<u2")
    if values.shape != size:
        raise FrameError(
            "size_mismatch",
            f"instances of {values.shape[1]}x{values.shape[0]} do not fit an image of {size[1]}x{size[0]}; "
            "give the camera_info of the image",
        )
    by_id = {str(region.id): region for region in regions.regions}
    things, vectors = [], []
    for message in detections.detections:
        region = by_id.get(message.id)
        if region is None or not message.results:
            raise FrameError(
                "bad_results",
                f"detection '{message.id}' has no vectors or no label; take all results of one "
                "perception_node",
            )
        box = _box(message.bbox, size)
        hypothesis = message.results[0].hypothesis
        mask = values[box[1] : box[3], box[0] : box[2]] == instance_value(message.id)
        if not 0.0 <= hypothesis.score <= 1.0:
            raise FrameError(
                "bad_results", f"detection '{message.id}' has the score {hypothesis.score:g}, no probability"
            )
        scores = Scores(0.0, 0.0, float(hypothesis.score))
        track = str(message.id) if regions.tracked else ""
        semantic, spatial = _unit(region.semantic), _unit(region.spatial)
        things.append(
            Detection(str(hypothesis.class_id), scores, box, mask, semantic, regions.semantic_space, track)
        )
        vectors.append(RegionVectors(semantic, spatial))
    return tuple(things), tuple(vectors)


def colour_image(message: Any, size: Size) -> RgbImage | None:
    """(H, W, 3) uint8 of an image message; None for one that is damaged or of another size."""
    if message is None:
        return None
    with suppress(FrameError):
        image = image_array(message)
        return image if image.shape[:2] == size else None
    return None


def registered_depth(depth: DepthImage, camera: CameraModel, size: Size) -> tuple[DepthImage, CameraModel]:
    """Depth and camera at the image's size, for depth that covers the same view at another resolution.

    Args:
        depth: (H', W') float32 metres, of the same view.
        camera: Intrinsics of the image.
        size: (height, width) of the image.

    Returns:
        (H, W) float32 metres, by the nearest pixel, and the camera at that size.

    Raises:
        FrameError: "size_mismatch" for depth or a calibration of another view than the image.
    """
    for what, (rows, columns), remedy in (
        ("camera_info", (camera.height, camera.width), "give the image's own"),
        ("depth", depth.shape, "give the depth's own camera_info, or depth that is registered to the image"),
    ):
        if not (rows and columns and same_view((rows, columns), size)):
            raise FrameError(
                "size_mismatch",
                f"{what} of {columns}x{rows} is of another view than the image of {size[1]}x{size[0]}; "
                f"{remedy}",
            )
    camera = resized_camera(camera, size)
    if depth.shape == size:
        return depth, camera
    rows = np.minimum((np.arange(size[0]) + 0.5) * depth.shape[0] / size[0], depth.shape[0] - 1)
    columns = np.minimum((np.arange(size[1]) + 0.5) * depth.shape[1] / size[1], depth.shape[1] - 1)
    return depth[rows.astype(int)[:, None], columns.astype(int)[None]], camera


def _unit(values: Sequence[float]) -> FloatArray | None:
    vector: NDArray[np.float32] = np.asarray(values, np.float32)
    norm = float(np.linalg.norm(vector))
    if not len(vector) or not np.isfinite(norm) or norm == 0.0:
        return None
    return np.asarray(vector / norm, np.float32)


def _box(bbox: Any, size: Size) -> Box:
    """Whole pixels of a BoundingBox2D within the image; pixel centres lie at integers."""
    centre, width, height = bbox.center.position, bbox.size_x, bbox.size_y
    corners = np.array([centre.x, centre.y]) + 0.5 + np.outer([-0.5, 0.5], [width, height])
    if not np.isfinite(corners).all():
        raise FrameError("bad_results", "a detection's box is not finite")
    (x0, y0), (x1, y1) = np.rint(np.clip(corners, 0, size[::-1])).astype(int).tolist()
    return x0, y0, x1, y1
