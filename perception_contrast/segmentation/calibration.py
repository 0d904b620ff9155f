"""Calibrated probability of a region, fitted on scenes with exact masks.

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
from scipy.special import expit

from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.regions.region import Region

# The names that stored calibrations carry. "region" is the logit of the region's own vector, "rival" the
# margin of the best other known name over the query, "log_names" log10 of the number of queries: of many
# names few are there.
FEATURES = ("peak", "mean", "log_share", "region", "rival", "log_names")
OLDER_FEATURES = FEATURES[:5]  # of files from before the number of queries counted


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(weights . features + offset), and the thresholds that go with it.

    Attributes:
        weights: one for each of FEATURES.
        offset: added to the weighted features.
        seed: logit that a region's peak must reach (the high threshold of hysteresis).
        low: logit from which pixels belong to a region (the low threshold of hysteresis).
        mask: logit from which a pixel is labelled.
        detection: probability from which a region is published.
        knots: of an isotonic fit, ascending scores (weights . features + offset) and the non-decreasing
            probabilities there, linear in between and constant outside; empty: the sigmoid holds.
    """

    weights: tuple[float, ...] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    offset: float = 0.0
    seed: float = 0.0
    low: float = -0.5
    mask: float = 0.0
    detection: float = 0.5
    knots: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())

    def score(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) logits of Platt's probability for features (n, len(FEATURES))."""
        return np.asarray(features @ np.asarray(self.weights) + self.offset)

    def probability(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities for features (n, len(FEATURES))."""
        score = self.score(features)
        if self.knots[0]:
            return np.asarray(np.interp(score, *self.knots))
        return np.asarray(expit(score))

    def dumped(self) -> str:
        """As JSON, for ``loaded``."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> Calibration:
        """From what ``dumped`` wrote.

        Raises:
            ModelError: the text is something else.
        """
        try:
            return cls.of(json.loads(text))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(
                f"a stored calibration is not readable ({error}); train the head anew"
            ) from error

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> Calibration:
        """From the members as JSON holds them.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: they are not those of a calibration.
        """
        numbers = {name: float(value) for name, value in stored.items() if name not in ("weights", "knots")}
        weights = tuple(float(w) for w in stored["weights"])
        if len(weights) == len(OLDER_FEATURES):
            weights = (*weights, 0.0)
        if len(weights) != len(FEATURES):
            raise ValueError(f"{len(weights)} weights instead of {len(FEATURES)}")
        scores, probabilities = (tuple(float(v) for v in side) for side in stored.get("knots", ((), ())))
        if not all(math.isfinite(v) for v in (*numbers.values(), *weights, *scores)):
            raise ValueError("a number is not finite")
        if len(scores) != len(probabilities) or not _ascending(scores) or not _ascending(probabilities):
            raise ValueError("the knots are not two lists of one length that climb")
        if not all(0.0 <= p <= 1.0 for p in probabilities):
            raise ValueError("a knot's probability is not in [0, 1]")
        return cls(weights=weights, knots=(scores, probabilities), **numbers)


def _ascending(values: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in itertools.pairwise(values))


def region_features(region: Region, region_logit: float, name_margin: float, names: int) -> tuple[float, ...]:
    """The calibration's inputs for a region, in the order of FEATURES. names: number of queries."""
    share = math.log10(max(region.share, 1e-6))
    return region.peak, region.mean, share, region_logit, name_margin, math.log10(max(names, 1))
