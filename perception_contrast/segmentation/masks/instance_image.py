"""The instance image: which detection each pixel belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from perception_contrast.core.arrays import LabelMask, Size
from perception_contrast.core.detection import Detection, frame_ids, instance_value
from perception_contrast.core.vocabulary import UNLABELLED


def instance_image(detections: Sequence[Detection], size: Size) -> LabelMask:
    """The detection of each pixel, by the number of its id.

    Args:
        detections: Of one image, in the order that numbers them where nothing is tracked.
        size: (height, width) of the image.

    Returns:
        (H, W) uint16: ``instance_value`` of the id of the most probable detection whose mask has the pixel,
        the first among equals; UNLABELLED where there is none.
    """
    image = np.full(size, UNLABELLED, np.uint16)
    numbered = list(zip(detections, map(instance_value, frame_ids(detections)), strict=True))
    # The most probable one is drawn last; a stable sort keeps the first of equals over the others.
    for found, value in sorted(reversed(numbered), key=lambda one: one[0].scores.probability):
        x0, y0, x1, y1 = found.box
        image[y0:y1, x0:x1][found.mask] = value
    return image
