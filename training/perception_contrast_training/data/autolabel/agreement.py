"""Whether a model says the same of an image seen otherwise, and whether another model says so too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from perception_contrast.core.detection import Detection, detection_iou
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.core.vocabulary import Vocabulary
from perception_contrast.images.resize import resize_image
from perception_contrast.pipeline.detector.base import Detector
from perception_contrast.pipeline.detector.search_options import SearchOptions

FLIP, SCALE, MODEL, TRACK = "flip", "scale", "model", "track"
CHECKS = (FLIP, SCALE, MODEL, TRACK)
AGREED_IOU = 0.5
SMALLER = 0.7  # of each side, for the check by scale

Check = Callable[[Frame], Sequence[Detection]]


def searched(detector: Detector, vocabulary: Vocabulary, least: float) -> Check:
    """What finds things in a frame. least: probability from which they count."""
    options = SearchOptions(threshold=least)

    def find(frame: Frame) -> Sequence[Detection]:
        return detector.submit([frame], vocabulary, options)[0].result().detections

    return find


def mirrored(find: Check) -> Check:
    """The same of the mirror image; boxes and masks are those of the image itself."""

    def seen(frame: Frame) -> Sequence[Detection]:
        width = frame.image.shape[1]
        found = find(replace(frame, image=np.ascontiguousarray(frame.image[:, ::-1]), depth=None))
        return [
            replace(
                one,
                box=(width - one.box[2], one.box[1], width - one.box[0], one.box[3]),
                mask=np.ascontiguousarray(one.mask[:, ::-1]),
            )
            for one in found
        ]

    return seen


def smaller(find: Check) -> Check:
    """The same of the image made smaller within a grey rim, so that things are seen at another scale."""

    def seen(frame: Frame) -> Sequence[Detection]:
        height, width = frame.image.shape[:2]
        high, wide = max(1, round(SMALLER * height)), max(1, round(SMALLER * width))
        canvas = np.full_like(frame.image, 128)
        canvas[:high, :wide] = resize_image(frame.image, (high, wide))
        found = find(replace(frame, image=canvas, depth=None))
        kept = (_enlarged(one, (width / wide, height / high), (height, width)) for one in found)
        return [one for one in kept if one is not None]

    return seen


def _enlarged(one: Detection, scale: tuple[float, float], size: tuple[int, int]) -> Detection | None:
    """A detection in the smaller image as one in the image of (height, width); None outside of it."""
    x0, y0, x1, y1 = (round(side * scale[k % 2]) for k, side in enumerate(one.box))
    x1, y1 = min(x1, size[1]), min(y1, size[0])
    if x0 >= x1 or y0 >= y1:
        return None
    rows = np.minimum(((np.arange(y1 - y0) + 0.5) / scale[1]).astype(np.intp), one.mask.shape[0] - 1)
    columns = np.minimum(((np.arange(x1 - x0) + 0.5) / scale[0]).astype(np.intp), one.mask.shape[1] - 1)
    return replace(one, box=(x0, y0, x1, y1), mask=one.mask[rows[:, None], columns[None, :]])


def agreement(one: Detection, others: Sequence[Detection]) -> float:
    """The highest probability of a detection of the same label in the same place; 0 where there is none."""
    same = [
        other.scores.probability
        for other in others
        if other.label == one.label and detection_iou(one, other) >= AGREED_IOU
    ]
    return max(same, default=0.0)


def checked_names(text: str) -> tuple[str, ...]:
    """The checks of a text with commas. Raises PerceptionError for one that is none."""
    names = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in names:
        if name not in CHECKS:
            raise PerceptionError(f"--agree: '{name}' is none of {', '.join(CHECKS)}")
    return names
