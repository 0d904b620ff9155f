"""Probability of a region from what is known of it, fitted on scenes with exact masks.

Platt, "Probabilistic outputs for support vector machines", 1999; Zadrozny and Elkan, "Transforming
classifier scores into accurate multiclass probability estimates", KDD 2002 (isotonic).
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.regions import Region

FEATURES = ("peak", "mean", "log_share", "region", "rival")


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(weights . features + offset), and the thresholds that go with it.

    weights: one for each of FEATURES: peak and mean logit, log10 of the share of the image, logit
    of the region's own vector, lead of the best other name over the query there. seed, low: logits
    between which regions grow. mask: logit from which a pixel counts. detection: probability from
    which a region is published. knots: scores (weights . features + offset, growing) and the
    probabilities there (never falling), linear in between and level outside; none: the sigmoid.
    """

    weights: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0, 0.0)
    offset: float = 0.0
    seed: float = 0.0
    low: float = -0.5
    mask: float = 0.0
    detection: float = 0.5
    knots: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """features: (n, len(FEATURES)) to (n,), the logit of Platt's probability."""
        return np.asarray(features @ np.asarray(self.weights) + self.offset)

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """features: (n, len(FEATURES)) to (n,)."""
        score = self.score(features)
        if self.knots[0]:
            return np.asarray(np.interp(score, *self.knots))
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(score, -40, 40))))

    def dumped(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Calibration:
        """Raises ModelError for text that ``dumped`` did not write."""
        try:
            return cls.of(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"a stored calibration is not readable ({error}); train the head anew"
            ) from error

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Calibration:
        """From the members as JSON has them. Raises ValueError, KeyError, TypeError or
        AttributeError for others.
        """
        numbers = {name: float(value) for name, value in stored.items() if name not in ("weights", "knots")}
        weights = tuple(float(w) for w in stored["weights"])
        if len(weights) != len(FEATURES):
            raise ValueError(f"{len(weights)} weights instead of {len(FEATURES)}")
        scores, probabilities = (tuple(float(v) for v in side) for side in stored.get("knots", ((), ())))
        if not all(math.isfinite(v) for v in (*numbers.values(), *weights, *scores)):
            raise ValueError("a number is not finite")
        if len(scores) != len(probabilities) or not _climbs(scores) or not _climbs(probabilities):
            raise ValueError("the knots are not two lists of one length that climb")
        if not all(0.0 <= p <= 1.0 for p in probabilities):
            raise ValueError("a knot's probability is not in [0, 1]")
        return cls(weights=weights, knots=(scores, probabilities), **numbers)


def _climbs(values: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def features_of(region: Region, region_logit: float, rival: float) -> tuple[float, ...]:
    """In the order of FEATURES."""
    return region.peak, region.mean, math.log10(max(region.share, 1e-6)), region_logit, rival
