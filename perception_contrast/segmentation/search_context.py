"""The inputs that every step of one search shares."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import Size
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.segmentation.prepared_queries import PreparedQueries


@dataclass(frozen=True)
class SearchContext:
    """One image, its features and the queries.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        text_grid: features that texts are compared with, or None.
        exemplar_grid: features that exemplars are compared with, or None.
        prepared: the queries and their embeddings.
        map_size: (height, width) of the coarse map that regions lie in.
    """

    image: NDArray[np.uint8]
    text_grid: FeatureGrid | None
    exemplar_grid: FeatureGrid | None
    prepared: PreparedQueries
    map_size: Size
