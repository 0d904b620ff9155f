"""Probability of a region from what is known of it, fitted on scenes with exact masks (Platt, 1999)."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from .regions import Region

FEATURES = ("peak", "mean", "log_share", "region", "rival")


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(weights . features + offset), and the thresholds that go with it.

    weights: one for each of FEATURES: peak and mean logit, log10 of the share of the picture, logit
    of the region's own vector, lead of the best other name over the query there. seed, low: logits
    between which regions grow. mask: logit from which a pixel counts. detection: probability from
    which a region is published.
    """

    weights: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0, 0.0)
    offset: float = 0.0
    seed: float = 0.0
    low: float = -0.5
    mask: float = 0.0
    detection: float = 0.5

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """features: (n, len(FEATURES)) to (n,)."""
        score: NDArray[np.float64] = features @ np.asarray(self.weights) + self.offset
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -40, 40))))

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Calibration:
        """Raises ModelError for text that ``dumped`` did not write."""
        try:
            stored = json.loads(text)
            weights = tuple(float(w) for w in stored["weights"])
            if len(weights) != len(FEATURES):
                raise ValueError(f"{len(weights)} weights instead of {len(FEATURES)}")
            return cls(**{**stored, "weights": weights})
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"a stored calibration is not readable ({error}); train the head anew"
            ) from error


def features_of(region: Region, region_logit: float, rival: float) -> tuple[float, ...]:
    """In the order of FEATURES."""
    return region.peak, region.mean, math.log10(max(region.share, 1e-6)), region_logit, rival
