"""Regions that may be what is asked for, seen again enlarged: what they are then said to be.

The probability of the first look is one of the things that the second is weighed with (Platt, 1999).
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.regions import Region
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, RegionCrop
from perception_contrast.segmentation.scoring import SigmoidScorer

FEATURES = ("first", "zoom", "rival", "log_share")
# A region less probable than this is not worth a look: it will not be found to be what is asked for.
LEAST = 0.01


@dataclass(frozen=True)
class RescoringCalibration:
    """probability = sigmoid(weights . features + offset). detection: from which a region is published.

    weights: one for each of FEATURES: logit of the probability at first look, logit of the enlarged
    region's vector, lead of the best other name over the query there, log10 of the share of the image.
    """

    weights: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0)
    offset: float = 0.0
    detection: float = 0.5

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> RescoringCalibration:
        """Raises ModelError for text that ``dumped`` did not write."""
        try:
            stored = json.loads(text)
            weights = tuple(float(weight) for weight in stored["weights"])
            found = cls(weights, float(stored["offset"]), float(stored["detection"]))
            if len(weights) != len(FEATURES) or not all(map(math.isfinite, (*weights, found.offset))):
                raise ValueError("its weights are not those of this version")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"the calibration of a zoom head is not readable ({error})") from error
        return found


class Rescorer:
    """What regions are seen with, enlarged, and how that is weighed."""

    def __init__(self, crop_encoder: CropEncoder, calibration: RescoringCalibration) -> None:
        self._crop_encoder, self.calibration = crop_encoder, calibration
        self.scale, bias = crop_encoder.scale, crop_encoder.bias
        self.scorer = SigmoidScorer((self.scale, self.scale), (bias, bias))

    def vectors(self, image: NDArray[np.uint8], crops: Sequence[RegionCrop]) -> FloatArray:
        """As ``CropEncoder.vectors``."""
        return self._crop_encoder.vectors(image, crops)

    @staticmethod
    def worth_it(chances: Sequence[float], places: Sequence[int]) -> list[int]:
        """Those of ``places`` that are probable enough, the most probable first."""
        found = [(-chance, place) for chance, place in zip(chances, places, strict=True) if chance >= LEAST]
        return [place for _, place in sorted(found)]

    @staticmethod
    def affordable(crops: Sequence[RegionCrop], most: int) -> int:
        """How many of the first spots can be seen with ``most`` views."""
        views = set()
        for count, region_crop in enumerate(crops):
            views.add(region_crop.view)
            if len(views) > most:
                return count
        return len(crops)

    @staticmethod
    def features(first: float, zoom: float, rival: float, share: float) -> tuple[float, ...]:
        """In the order of FEATURES. first: a probability. share: of the image."""
        sure = min(max(first, 1e-4), 1 - 1e-4)
        return math.log(sure / (1 - sure)), zoom, rival, math.log10(max(share, 1e-6))

    def probability(self, features: Sequence[float]) -> float:
        score = float(np.dot(self.calibration.weights, features)) + self.calibration.offset
        return 1.0 / (1.0 + math.exp(-min(max(score, -40.0), 40.0)))


def region_crop_of(region: Region, size: tuple[int, int], image: tuple[int, ...]) -> RegionCrop:
    """A region of a map of ``size`` (height, width) in an image of shape (H, W, 3)."""
    down, across = image[0] / size[0], image[1] / size[1]
    x0, y0, x1, y1 = region.box
    return RegionCrop((x0 * across, y0 * down, x1 * across, y1 * down), region.mask, region.share)
