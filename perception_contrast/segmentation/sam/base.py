"""The protocol of mask proposers: boxes of an image to masks."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask, FloatArray


class ProposedMasks(NamedTuple):
    """Masks (n, H, W) bool of n boxes, and the IoU (n,) float32 that the model predicts for each."""

    masks: BoolMask
    quality: FloatArray


class MaskProposer(Protocol):
    """Draws the objects in boxes."""

    def propose(self, image: NDArray[np.uint8], boxes: FloatArray) -> ProposedMasks:
        """Masks of the objects in boxes.

        Args:
            image: (H, W, 3) uint8 RGB.
            boxes: (n, 4) float32 (x_min, y_min, x_max, y_max), pixel edges as in ``Detection.box``.

        Raises:
            ModelError: the model failed; names the file.
        """
        ...
