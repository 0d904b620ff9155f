"""Detection: one thing that was detected in one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import BoolMask, Box, FloatArray
from perception_contrast.core.vocabulary import UNLABELLED

# Values of pixels that belong to a detection: from 1 to this one.
LARGEST_INSTANCE = UNLABELLED - 1


@dataclass(frozen=True)
class Scores:
    """How well a region fits a query.

    Attributes:
        cosine: Cosine of the region's vector with the query, in [-1, 1].
        relevancy: Score against neutral phrases, in [0, 1] (Kerr et al., LERF, ICCV 2023).
        probability: Calibrated probability, in [0, 1]. Thresholds apply to this one.
    """

    cosine: float
    relevancy: float
    probability: float


@dataclass(frozen=True)
class Detection:
    """One thing that was detected in one frame.

    Attributes:
        label: Label of its query.
        scores: How well it fits the query.
        box: (x_min, y_min, x_max, y_max) in pixels of the source image; the maxima are exclusive.
        mask: (box height, box width) bool, inside the box.
        embedding: (c,) float32 unit vector of its region.
        space: Embedding space of ``embedding``.
        track_id: Id of the thing, the same from frame to frame and for all labels; "" without tracking.
    """

    label: str
    scores: Scores
    box: Box
    mask: BoolMask
    embedding: FloatArray | None = None
    space: str = ""
    track_id: str = ""


@dataclass(frozen=True)
class RegionVectors:
    """Mean unit vectors of one detection's mask.

    Attributes:
        semantic: (c,) float32 unit vector that is comparable with texts; None without a language model.
        spatial: (d,) float32 unit vector of the image encoder; None if it was not requested.
    """

    semantic: FloatArray | None = None
    spatial: FloatArray | None = None


def frame_ids(detections: Sequence[Detection]) -> tuple[str, ...]:
    """The id of each detection of one image, the same in every output of that image.

    Args:
        detections: Of one image, all tracked or none.

    Returns:
        The track ids; where nothing is tracked the numbers from 1 on in the order of the detections, which
        tie the outputs of one image and mean nothing in another.
    """
    return tuple(found.track_id or str(number) for number, found in enumerate(detections, 1))


def instance_value(identity: str) -> int:
    """The value of the pixels of a detection in an instance image.

    It is the number itself up to LARGEST_INSTANCE. Ids are never reused and so grow further; then values
    begin again at 1. The tracker gives no two tracks of one camera the same value.

    Args:
        identity: As of ``frame_ids``.

    Returns:
        1 to LARGEST_INSTANCE.
    """
    return (int(identity) - 1) % LARGEST_INSTANCE + 1


def detection_iou(first: Detection, second: Detection) -> float:
    """Computes the intersection over union of two masks.

    Args:
        first: A detection.
        second: Another detection of the same image.

    Returns:
        The IoU in [0, 1]; 0 for two empty masks.
    """
    x0, y0 = (max(a, b) for a, b in zip(first.box[:2], second.box[:2], strict=True))
    x1, y1 = (min(a, b) for a, b in zip(first.box[2:], second.box[2:], strict=True))
    if x0 >= x1 or y0 >= y1:
        return 0.0
    both = [
        one.mask[y0 - one.box[1] : y1 - one.box[1], x0 - one.box[0] : x1 - one.box[0]]
        for one in (first, second)
    ]
    shared = np.count_nonzero(both[0] & both[1])
    total = np.count_nonzero(first.mask) + np.count_nonzero(second.mask) - shared
    return float(shared / total) if total else 0.0
