"""The cues of an image that tell one instance from the next."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.feature_grid import FeatureGrid


@dataclass(frozen=True)
class SplitCues:
    """Cues of one image, each of them optional; colour is always used.

    Attributes:
        instance_votes: (h, w, 4) float32 of ``AlignmentHead.grid``: per cell the offset (rows, columns) to
            the centre of its instance in radii, the log of the radius in cells, the logit of an edge
            (after Panoptic-DeepLab, Cheng et al., CVPR 2020).
        depth: (H, W) float32 metres of the image, NaN or 0 where unknown.
        features: features of the image.
    """

    instance_votes: FloatArray | None = None
    depth: FloatArray | None = None
    features: FeatureGrid | None = None
