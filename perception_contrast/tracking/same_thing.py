"""Detections of several labels that cover the same pixels are one thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.detection import Detection, detection_iou

SAME_THING_IOU = 0.6  # of masks, from which detections of two labels show one thing
SAME_THING_COSINE = 0.7  # of embeddings; one thing in front of another looks otherwise


def leaders(detections: Sequence[Detection]) -> NDArray[np.intp]:
    """The detection that stands for the thing that each detection shows.

    Detections join, the most probable first, the one before them whose mask they share most, if they share
    at least ``SAME_THING_IOU``, their embeddings (if they have any of one space) are alike and no detection
    of their own label has joined it. Two of one label stay two things, however they overlap.

    Args:
        detections: of one image.

    Returns:
        (n,) index of each detection's leader; a leader has its own.
    """
    of = np.arange(len(detections), dtype=np.intp)
    order = sorted(of.tolist(), key=lambda k: -detections[k].scores.probability)
    labels: dict[int, set[str]] = {}
    for index in order:
        found = detections[index]
        open_to = [
            leader
            for leader, taken in labels.items()
            if found.label not in taken and _look_alike(detections[leader], found)
        ]
        shared = [detection_iou(detections[leader], found) for leader in open_to]
        best = int(np.argmax(shared)) if shared else -1
        if shared and shared[best] >= SAME_THING_IOU:
            of[index] = open_to[best]
        labels.setdefault(int(of[index]), set()).add(found.label)
    return of


def _look_alike(first: Detection, second: Detection) -> bool:
    """Whether two embeddings are of one thing; True where they cannot be compared."""
    if first.embedding is None or second.embedding is None or first.space != second.space:
        return True
    return float(first.embedding @ second.embedding) >= SAME_THING_COSINE
