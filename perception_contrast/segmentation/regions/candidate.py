"""A region with its scores, before thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from perception_contrast.core.arrays import FloatArray
from perception_contrast.segmentation.regions.region import Region


@dataclass(frozen=True)
class Candidate:
    """A region that may show a query.

    Attributes:
        query: number of the query.
        region: where, in coarse pixels.
        vector: (c,) float32 unit mean feature vector of the region.
        space: embedding space of ``vector``.
        cosine: highest cosine of ``vector`` with the query's vectors.
        features: inputs of the calibration, in the order of ``calibration.FEATURES``.
        probability: what the calibration gives for ``features``.
        calibrated_threshold: probability from which the region is published, unless the query or the
            settings say otherwise.
    """

    query: int
    region: Region
    vector: FloatArray
    space: str
    cosine: float
    features: tuple[float, ...]
    probability: float
    calibrated_threshold: float
