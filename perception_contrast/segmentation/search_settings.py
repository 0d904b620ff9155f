"""Settings of one search: thresholds, limits, and which steps run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SearchSettings:
    """Settings of one search.

    Attributes:
        mask_threshold: probability from which a pixel belongs to a label; None: the calibration's.
        detection_threshold: probability from which a region is published; None: the calibration's.
        max_detections: most detections of an image, and most regions of a query.
        min_region_share: of the image; smaller regions are dropped.
        refine: whether masks follow the image's edges.
        rescoring_views: most enlarged views of regions that are encoded again; 0: no region is rescored.
        rescoring_ms: for encoding them, as of ``RescoringLimits``; inf: no limit.
    """

    mask_threshold: float | None = None
    detection_threshold: float | None = None
    max_detections: int = 100
    min_region_share: float = 2e-4
    refine: bool = True
    rescoring_views: int = 0
    rescoring_ms: float = math.inf
