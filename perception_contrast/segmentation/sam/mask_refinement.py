"""Detections drawn anew by a proposer: which proposals are taken, and labels that agree with them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray
from perception_contrast.core.detection import Detection
from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.segmentation.mask_renderer import tight
from perception_contrast.segmentation.sam.mask_proposers import MaskProposer
from perception_contrast.segmentation.search import SearchResult

logger = logging.getLogger(__name__)

# From an IoU of one half on, two masks that do not overlap cannot both be meant by one proposal: it cannot
# jump from a detection to its neighbour. It is also from where benchmarks call two masks the same thing.
LEAST_AGREEMENT = 0.5
# SAM's own generator keeps 0.88 of points that nothing else speaks for; here a detection speaks for the
# thing already, and smaller models of the family rate themselves lower. Not fitted to data.
LEAST_QUALITY = 0.7
# Two detections of a label become one thing's when both are drawn as the whole of it; things that stand
# before each other overlap far less.
SAME_THING = 0.8


class MaskRefiner:
    """Draws detections by a proposer, for as long as that works; any thread may call it."""

    def __init__(self, proposer: MaskProposer) -> None:
        self._proposer: MaskProposer | None = proposer
        self._warnings: tuple[str, ...] = ()
        self._lock = threading.Lock()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the proposer was given up; empty while it works."""
        return self._warnings

    def __call__(
        self, image: NDArray[np.uint8], found: SearchResult, ids: Mapping[str, int], most: int
    ) -> SearchResult:
        """``refined`` by proposals for the first ``most`` detections; as found where there are none.

        image: (H, W, 3) uint8 RGB. ids: of the labels. A proposer that fails is not asked again.
        """
        boxes = np.array([one.box for one in found.detections[:most]], np.float32).reshape(-1, 4)
        proposed = self._proposed(image, boxes)
        return found if proposed is None else refined(found, *proposed, ids)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Draws one box of an empty image (height, width), for what a first pass allocates."""
        box = np.array([[0, 0, size[1], size[0]]], np.float32)
        self._proposed(np.zeros((*size, 3), np.uint8), box)

    def _proposed(self, image: NDArray[np.uint8], boxes: FloatArray) -> tuple[BoolMask, FloatArray] | None:
        proposer = self._proposer
        if proposer is None or not len(boxes):
            return None
        try:
            return proposer.propose(image, boxes)
        except ModelError as error:
            self._give_up(f"masks are no longer refined: {error}")
            return None

    def _give_up(self, reason: str) -> None:
        with self._lock:
            if self._proposer is not None:
                self._proposer, self._warnings = None, (reason,)
                logger.warning("%s", reason)


def refined(
    found: SearchResult, masks: BoolMask, quality: FloatArray, ids: Mapping[str, int]
) -> SearchResult:
    """Detections with the proposals that fit them, no thing twice, and the label image painted of them.

    masks (n, H, W), quality (n,): proposals for the first n detections. ids: of the labels.
    """
    redrawn = [
        taken(one, mask, float(expected))
        for one, mask, expected in zip(found.detections, masks, quality, strict=False)
    ]
    detections = distinct([*redrawn, *found.detections[len(redrawn) :]])
    return SearchResult(painted(found.masks.shape, detections, ids), detections)


def taken(detection: Detection, mask: NDArray[np.bool_], quality: float) -> Detection:
    """The detection with the proposed mask (H, W) and its tight box, or as it is where that does not fit."""
    drawn = tight((0, 0, mask.shape[1], mask.shape[0]), mask) if quality >= LEAST_QUALITY else None
    if drawn is None:
        return detection
    # A copy: a view would keep the masks of the whole image alive.
    proposal = replace(detection, box=drawn[0], mask=drawn[1].copy())
    return proposal if agreement(detection, proposal) >= LEAST_AGREEMENT else detection


def distinct(detections: Sequence[Detection]) -> tuple[Detection, ...]:
    """Without those that a surer one of their label covers (non-maximum suppression of masks).

    detections: surest first, and so they stay.
    """
    kept: list[Detection] = []
    for one in detections:
        if all(one.label != other.label or agreement(one, other) <= SAME_THING for other in kept):
            kept.append(one)
    return tuple(kept)


def painted(
    size: tuple[int, ...], detections: Sequence[Detection], ids: Mapping[str, int]
) -> NDArray[np.uint16]:
    """(H, W) uint16: of each pixel the id of the first detection that has it, UNLABELLED without one."""
    labels = np.full(size, UNLABELLED, np.uint16)
    for one in reversed(detections):
        x0, y0, x1, y1 = one.box
        labels[y0:y1, x0:x1][one.mask] = ids[one.label]
    return labels


def agreement(first: Detection, second: Detection) -> float:
    """IoU of two masks of one image."""
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
