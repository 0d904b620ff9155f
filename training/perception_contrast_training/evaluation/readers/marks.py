"""What is marked in a first frame: by label images, or by boxes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast_training.evaluation.readers.label_files import read_labels
from perception_contrast_training.evaluation.readers.types import Image, Mask

Box = tuple[int, int, int, int]
ROUNDS = 5  # of GrabCut


def first_labels(
    frame: Frame, known: NDArray[np.int64] | None, mask: Path | None, boxes: Sequence[Box]
) -> NDArray[np.int64] | None:
    """(H, W) numbers of the things in a first frame, 0 background; None where nothing is marked.

    A mask file comes before boxes, and both before the labels that the data have. Raises PerceptionError.
    """
    if mask is not None:
        return mask_file(mask, frame.size)
    if boxes:
        labels = np.zeros(frame.size, np.int64)
        for number, box in enumerate(boxes, 1):
            labels[thing_in_box(frame.image, box)] = number
        return labels
    return known if known is not None and (known > 0).any() else None


def mask_file(path: Path, size: tuple[int, int]) -> NDArray[np.int64]:
    """(H, W) numbers of things from a label PNG, 0 background. Raises PerceptionError."""
    numbers = read_labels(path)
    if numbers.shape != size:
        raise PerceptionError(
            f"mask '{path}' is {numbers.shape[1]}x{numbers.shape[0]}, the first frame {size[1]}x{size[0]}; "
            "draw it on the first frame"
        )
    if not (numbers > 0).any():
        raise PerceptionError(f"mask '{path}' marks nothing; give the pixels of a thing a number above 0")
    return numbers


def thing_in_box(image: Image, box: Box) -> Mask:
    """The thing that fills a box (x_min, y_min, x_max, y_max), cut from what surrounds it.

    GrabCut (Rother et al., 2004); the whole box where nothing of it stands out. Raises PerceptionError.
    """
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise PerceptionError(
            f"box {x0},{y0},{x1},{y1} does not lie in the first frame, which is {width}x{height}; "
            "write x_min,y_min,x_max,y_max in its pixels"
        )
    whole = np.zeros((height, width), bool)
    whole[y0:y1, x0:x1] = True
    if whole.all():
        return whole
    marks = np.where(whole, cv2.GC_PR_FGD, cv2.GC_BGD).astype(np.uint8)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(np.ascontiguousarray(image), marks, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    thing = np.isin(marks, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return np.asarray(thing) if thing.sum() >= 0.1 * whole.sum() else whole
