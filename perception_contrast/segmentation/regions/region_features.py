"""Vectors of detections: the mean of the feature vectors under each mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.detection import Detection, RegionVectors
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.segmentation.regions.region_pooling import pool_regions


@dataclass(frozen=True)
class RegionFeatures:
    """The detections of one image with their vectors.

    Attributes:
        detections: Best first.
        vectors: One for each detection, in their order.
        semantic_model: Model of the vectors that are comparable with texts; "" without a language model.
        semantic_space: Identity of their space.
        spatial_model: Model of the image encoder's vectors.
        spatial_space: Identity of their space.
    """

    detections: tuple[Detection, ...]
    vectors: tuple[RegionVectors, ...]
    semantic_model: str = ""
    semantic_space: str = ""
    spatial_model: str = ""
    spatial_space: str = ""


def region_features(
    detections: Sequence[Detection], semantic: FeatureGrid | None, spatial: FeatureGrid | None
) -> RegionFeatures:
    """The mean of the unit vectors of the cells under each mask, by the area covered, of unit length.

    Args:
        detections: Of the image that the grids were made of.
        semantic: Features that are comparable with texts; None without a language model.
        spatial: Features of the image encoder; None where they are not known.

    Returns:
        The detections with one entry for each, in their order.
    """
    semantics, spatials = _pooled(detections, semantic), _pooled(detections, spatial)
    return RegionFeatures(
        tuple(detections),
        tuple(RegionVectors(*both) for both in zip(semantics, spatials, strict=True)),
        semantic.model if semantic is not None else "",
        semantic.space if semantic is not None else "",
        spatial.model if spatial is not None else "",
        spatial.space if spatial is not None else "",
    )


def _pooled(detections: Sequence[Detection], grid: FeatureGrid | None) -> Sequence[FloatArray | None]:
    if grid is None or not detections:
        return [None] * len(detections)
    return list(pool_regions(detections, grid.image_size, np.asarray(grid.unit().values, np.float32)))
