"""Outputs of a detection head to boxes and masks in pixels of the image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, Box, FloatArray, Size
from perception_contrast.core.box_iou import box_iou
from perception_contrast.heads.box_overlap import suppressed
from perception_contrast.heads.head_card import ScoreCalibration
from perception_contrast.heads.head_networks import LocationOutputs, boxes_at, locations
from perception_contrast.segmentation.masks.box_mask import BoxMask, tight_box_mask

SAME_THING = 0.5  # IoU from which two boxes of one label are one report
AGREEMENT = 0.5  # IoU of a location's own box with a detection's, from which the location is of that thing
RIVAL = 0.5  # of a thing's score; what is less sure takes no pixel from it
MOST_CANDIDATES = 1000  # pairs of a location and a class before suppression
LEAST_COVERED = 0.1  # share of a box; a mask of less is the box


@dataclass(frozen=True)
class FoundBoxes:
    """Kept boxes of one image, best first.

    Attributes:
        boxes: (m, 4) float32 x0, y0, x1, y1 in patches.
        scores: (m,) float32 before calibration.
        probabilities: (m,) float32.
        labels: (m,) index of the class.
    """

    boxes: FloatArray
    scores: FloatArray
    probabilities: FloatArray
    labels: NDArray[np.int64]


def location_scores(outputs: LocationOutputs) -> torch.Tensor:
    """(B, n, k) scores in [0, 1]: the geometric mean of a class's and the box's quality."""
    return (outputs.classes.sigmoid() * outputs.quality.sigmoid()[..., None]).sqrt()


def found_boxes(
    outputs: LocationOutputs,
    grid: Size,
    enlargement: int,
    calibration: ScoreCalibration,
    thresholds: FloatArray,
    most: int,
) -> FoundBoxes:
    """The boxes of the first image.

    Args:
        outputs: Of the head.
        grid: (rows, columns) of patches.
        enlargement: Locations per patch and side.
        calibration: Of scores.
        thresholds: (k,) probability from which boxes of each class are kept.
        most: Boxes at most.
    """
    scores = location_scores(outputs)[0].float().cpu().numpy()
    classes = scores.shape[1]
    flat = scores.reshape(-1)
    chosen = np.flatnonzero(calibration(scores) >= thresholds)
    if len(chosen) > MOST_CANDIDATES:
        best = np.argpartition(-flat[chosen], MOST_CANDIDATES)[:MOST_CANDIDATES]
        chosen = chosen[best]
    places, labels = chosen // classes, chosen % classes
    boxes = _clipped(outputs, grid, enlargement)[places]
    kept = suppressed(boxes, flat[chosen], labels, SAME_THING)[:most]
    return FoundBoxes(boxes[kept], flat[chosen][kept], calibration(flat[chosen][kept]), labels[kept])


def masks_of(
    found: FoundBoxes, outputs: LocationOutputs, grid: Size, enlargement: int, size: Size, *, learned: bool
) -> list[BoxMask | None]:
    """Each box in pixels with the mask in it; None for a box without a pixel.

    A location is of the thing with whose box its own box agrees best. Where outlines were labelled, it must
    also lie on a thing of that class.

    Args:
        found: Of the same outputs.
        outputs: Of the head.
        grid: (rows, columns) of patches.
        enlargement: Locations per patch and side.
        size: (height, width) of the image.
        learned: Whether outlines were labelled in training.
    """
    shape = grid[0] * enlargement, grid[1] * enlargement
    agreement = box_iou(found.boxes, _clipped(outputs, grid, enlargement)).reshape(-1, *shape)
    inside = outputs.inside[0].sigmoid().float().cpu().numpy().T.reshape(-1, *shape) if learned else None
    per_patch = size[1] / grid[1], size[0] / grid[0]
    drawn: list[BoxMask | None] = []
    for index, label in enumerate(found.labels.tolist()):
        box = _pixels(found.boxes[index], per_patch, size)
        if box[0] >= box[2] or box[1] >= box[3]:
            drawn.append(None)
            continue
        own = _window(agreement[index], box, size)
        rivals = [
            other
            for other in np.flatnonzero(found.labels == label).tolist()
            if other != index
            and found.scores[other] >= RIVAL * found.scores[index]
            and _meet(found.boxes[index], found.boxes[other])
        ]
        mask = own >= AGREEMENT if inside is None else _window(inside[label], box, size) >= AGREEMENT
        for other in rivals:
            mask &= own >= _window(agreement[other], box, size)
        drawn.append(_or_box(box, mask))
    return drawn


def _or_box(box: Box, mask: BoolMask) -> BoxMask:
    """The box with its mask, or filled where the mask is too little of it. The box stays as it is."""
    if np.count_nonzero(mask) < LEAST_COVERED * mask.size or tight_box_mask(box, mask) is None:
        return BoxMask(box, np.ones_like(mask))
    return BoxMask(box, mask)


def _clipped(outputs: LocationOutputs, grid: Size, enlargement: int) -> FloatArray:
    """(n, 4) boxes of all locations, within the image, in patches."""
    places = locations(*grid, enlargement)
    boxes = boxes_at(places, outputs.sides[0].float().cpu()).numpy()
    limits = np.array([grid[1], grid[0], grid[1], grid[0]], np.float32)
    return np.asarray(np.clip(boxes, 0.0, limits), np.float32)


def _pixels(box: FloatArray, per_patch: tuple[float, float], size: Size) -> Box:
    """A box in patches to whole pixels, one at least a side where it lies in the image."""
    x0, y0, x1, y1 = (box * np.array([*per_patch, *per_patch])).tolist()
    left, top = min(round(x0), size[1] - 1), min(round(y0), size[0] - 1)
    return left, top, max(left + 1, min(round(x1), size[1])), max(top + 1, min(round(y1), size[0]))


def _window(values: FloatArray, box: Box, size: Size) -> FloatArray:
    """A map (h, w) that covers a whole image of ``size``, at the pixels under a box, bilinear."""
    sx, sy = values.shape[1] / size[1], values.shape[0] / size[0]
    # Pixel x of the box lies at column (x0 + x + 0.5) * sx - 0.5 of the map.
    matrix = np.array([[sx, 0, (box[0] + 0.5) * sx - 0.5], [0, sy, (box[1] + 0.5) * sy - 0.5]], np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    wide, high = box[2] - box[0], box[3] - box[1]
    return np.asarray(
        cv2.warpAffine(values, matrix, (wide, high), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _meet(first: FloatArray, second: FloatArray) -> bool:
    return bool(
        first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
    )
