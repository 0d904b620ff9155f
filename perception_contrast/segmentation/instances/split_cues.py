"""The cues of an image that tell one instance from the next."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.segmentation.array_types import Array


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

    instance_votes: Array | None = None
    depth: Array | None = None
    features: FeatureGrid | None = None
