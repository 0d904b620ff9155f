"""Replaces the masks of detections by those of a mask proposer where the two agree."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.detection import Detection, detection_iou
from perception_contrast.core.errors import ModelError
from perception_contrast.core.vocabulary import UNLABELLED
from perception_contrast.segmentation.masks.box_mask import tight_box_mask
from perception_contrast.segmentation.sam.base import MaskProposer, ProposedMasks
from perception_contrast.segmentation.search_result import SearchResult

logger = logging.getLogger(__name__)

# From an IoU of one half on, two masks that do not overlap cannot both agree with one proposal: it cannot
# jump from a detection to its neighbour. Benchmarks count a detection as found from the same IoU.
MIN_IOU = 0.5
# SAM's own generator keeps 0.88 of points that nothing else supports; here a detection supports the mask,
# and smaller models of the family predict lower IoUs. Not fitted to data.
MIN_QUALITY = 0.7
# From this IoU on, two detections of a label were both drawn as one instance; instances that occlude each
# other overlap far less.
DUPLICATE_IOU = 0.8


class MaskRefiner:
    """Refines detections by a proposer until it fails. Any thread may call."""

    def __init__(self, proposer: MaskProposer) -> None:
        self._proposer: MaskProposer | None = proposer
        self._warnings: tuple[str, ...] = ()
        self._lock = threading.Lock()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Why the proposer is no longer used; empty while it works."""
        return self._warnings

    def __call__(
        self, image: NDArray[np.uint8], found: SearchResult, ids: Mapping[str, int], max_boxes: int
    ) -> SearchResult:
        """Refines the first detections of an image.

        Args:
            image: (H, W, 3) uint8 RGB.
            found: returned as it is where there are no detections, or once the proposer has failed.
            ids: ids of the labels in the label image.
            max_boxes: most detections that are refined.
        """
        boxes = np.array([one.box for one in found.detections[:max_boxes]], np.float32).reshape(-1, 4)
        proposed = self._propose(image, boxes)
        return found if proposed is None else refine_masks(found, proposed, ids)

    def warm_up(self, size: tuple[int, int]) -> None:
        """Proposes a mask of one box of an empty image (height, width), for what a first pass allocates."""
        box = np.array([[0, 0, size[1], size[0]]], np.float32)
        self._propose(np.zeros((*size, 3), np.uint8), box)

    def _propose(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> ProposedMasks | None:
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


def refine_masks(found: SearchResult, proposed: ProposedMasks, ids: Mapping[str, int]) -> SearchResult:
    """Detections with the proposals that agree with them, without duplicates, and their label image.

    Args:
        found: the detections.
        proposed: masks for the first n detections.
        ids: ids of the labels in the label image.
    """
    refined = [
        refine_detection(one, mask, float(quality))
        for one, mask, quality in zip(found.detections, proposed.masks, proposed.quality, strict=False)
    ]
    detections = suppress_duplicates([*refined, *found.detections[len(refined) :]])
    return replace(found, masks=label_image(found.masks.shape, detections, ids), detections=detections)


def refine_detection(detection: Detection, mask: BoolMask, quality: float) -> Detection:
    """The detection with a proposed mask (H, W) and its tight box; unchanged where the two disagree."""
    drawn = tight_box_mask((0, 0, mask.shape[1], mask.shape[0]), mask) if quality >= MIN_QUALITY else None
    if drawn is None:
        return detection
    # A copy: a view would keep the masks of the whole image alive.
    proposal = replace(detection, box=drawn.box, mask=drawn.mask.copy())
    return proposal if detection_iou(detection, proposal) >= MIN_IOU else detection


def suppress_duplicates(detections: Sequence[Detection]) -> tuple[Detection, ...]:
    """Non-maximum suppression of masks within each label. detections: most probable first."""
    kept: list[Detection] = []
    for one in detections:
        if all(one.label != other.label or detection_iou(one, other) <= DUPLICATE_IOU for other in kept):
            kept.append(one)
    return tuple(kept)


def label_image(
    size: tuple[int, ...], detections: Sequence[Detection], ids: Mapping[str, int]
) -> NDArray[np.uint16]:
    """(H, W) uint16: of each pixel the id of the first detection that covers it, else UNLABELLED."""
    labels = np.full(size, UNLABELLED, np.uint16)
    for one in reversed(detections):
        x0, y0, x1, y1 = one.box
        labels[y0:y1, x0:x1][one.mask] = ids[one.label]
    return labels
