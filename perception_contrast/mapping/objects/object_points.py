"""A detection's mask and depth to points on the thing, without its borders and its background."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, DepthImage, FloatArray
from perception_contrast.core.camera_model import CameraModel, unproject
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import FrameError
from perception_contrast.mapping.geometry.depth_checks import usable

NEAR, FAR = 0.1, 10.0  # metres
MOST_POINTS = 4096
# Fewer points than these say nothing about where a thing is.
LEAST_POINTS = 8
# Depth steps within a neighbourhood of 3x3 pixels from which surfaces are apart: metres, and a share of the
# distance, since the noise of sensors and the slant of floors grow with it.
_STEP, _STEP_SHARE = 0.04, 0.05
# A mask is eroded by this share of the square root of its area, at most by so many pixels.
_BORDER_SHARE, _LARGEST_BORDER = 0.04, 4
# Deviations from the median depth, as robust standard deviations, from which a point is an outlier.
_OUTLIER = 4.0
_MAD_TO_DEVIATION = 1.4826


def lift(
    detection: Detection,
    depth: DepthImage,
    camera: CameraModel,
    *,
    near: float = NEAR,
    far: float = FAR,
    most_points: int = MOST_POINTS,
) -> FloatArray:
    """The points of a detection that depth measures, on the visible side of the thing.

    Masks reach over the borders of things, and depth sensors mix both sides of an edge: the rim of the mask
    and pixels at steps of depth are left out. Of the surfaces that remain the largest is the thing, with all
    that lie in its range of depth; what shows behind it or before it is left out.

    Args:
        detection: With box and mask in pixels of the image.
        depth: (H, W) float32 metres, registered to the image and of its size; NaN where there is none.
        camera: Intrinsics of the image.
        near: Least metres of usable depth.
        far: Largest metres of usable depth.
        most_points: Most points that are returned; they are taken evenly.

    Returns:
        (n, 3) float32 metres in the camera's optical frame; empty for a thing without enough depth.

    Raises:
        FrameError: "size_mismatch" for depth of another size than the camera's image.
    """
    if depth.shape != (camera.height, camera.width):
        raise FrameError(
            "size_mismatch",
            f"depth of {depth.shape[1]}x{depth.shape[0]} does not match the image of "
            f"{camera.width}x{camera.height}; register the depth to the image",
        )
    x0, y0, x1, y1 = detection.box
    if not detection.mask.any():
        return np.zeros((0, 3), np.float32)
    cut = depth[y0:y1, x0:x1]
    rows, columns = np.nonzero(_surface(cut, detection.mask, usable(cut, near, far)))
    if len(rows) < LEAST_POINTS:
        return np.zeros((0, 3), np.float32)
    every = -(-len(rows) // most_points)
    rows, columns = rows[::every], columns[::every]
    pixels = np.stack([columns + x0, rows + y0], axis=1).astype(float)
    return unproject(camera, pixels, cut[rows, columns].astype(float)).astype(np.float32)


def _surface(depth: DepthImage, mask: BoolMask, known: BoolMask) -> BoolMask:
    """The pixels of a mask with known depth that lie on its largest surface."""
    inner = _without_rim(mask) & known
    smooth = inner & ~_at_step(depth, mask & known)
    if np.count_nonzero(smooth) < LEAST_POINTS:
        smooth = inner
    if np.count_nonzero(smooth) < LEAST_POINTS:
        return smooth
    inside = smooth & _in_range_of_largest(depth, smooth)
    values = depth[inside]
    median = np.median(values)
    deviation = _MAD_TO_DEVIATION * float(np.median(np.abs(values - median)))
    limit = _OUTLIER * deviation + _step(float(median))
    return np.asarray(inside & (np.abs(depth - median) <= limit))


def _step(distance: float) -> float:
    return max(_STEP, _STEP_SHARE * distance)


def _without_rim(mask: BoolMask) -> BoolMask:
    """A mask eroded in proportion to its size; whole where little would remain."""
    area = int(np.count_nonzero(mask))
    border = min(round(_BORDER_SHARE * math.sqrt(area)), _LARGEST_BORDER)
    if not border:
        return mask
    square = np.ones((2 * border + 1, 2 * border + 1), np.uint8)
    eroded = cv2.erode(np.pad(mask.astype(np.uint8), border), square)
    inner: BoolMask = eroded[border:-border, border:-border] > 0
    return inner if np.count_nonzero(inner) >= max(LEAST_POINTS, area // 4) else mask


def _at_step(depth: DepthImage, known: BoolMask) -> BoolMask:
    """Pixels with a step of depth in their neighbourhood of 3x3; unknown depth makes no step."""
    box = np.ones((3, 3), np.uint8)
    highest = cv2.dilate(np.where(known, depth, np.float32(-np.inf)), box)
    lowest = cv2.erode(np.where(known, depth, np.float32(np.inf)), box)
    result = np.zeros_like(known)
    high, low = highest[known], lowest[known]
    result[known] = high - low > np.maximum(_STEP, _STEP_SHARE * low)
    return result


def _in_range_of_largest(depth: DepthImage, mask: BoolMask) -> BoolMask:
    """Pixels in the range of depth of the mask's largest connected surface.

    Parts of one thing that something before it separates lie in that range too.
    """
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    if count <= 2:
        return mask
    areas: NDArray[np.intp] = np.bincount(numbers[mask], minlength=count)
    low, high = np.quantile(depth[mask & (numbers == int(areas.argmax()))], [0.02, 0.98])
    margin = _step(float(low)) / 2
    return np.asarray((depth >= low - margin) & (depth <= high + margin))
