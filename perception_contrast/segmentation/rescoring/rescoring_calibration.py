"""Calibrated probability of a region after its enlarged crop was encoded (Platt, 1999)."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy.special import expit, logit

from perception_contrast.core.errors import ModelError

FEATURES = ("first_logit", "crop_logit", "name_margin", "log_share")
# Log odds that no crop exceeds: the head is trained by a sigmoid loss, which hardly rewards more. Of 2,009
# regions of rooms and photographs none had more than 9.4.
HIGHEST_LOGIT = 12.0


@dataclass(frozen=True)
class RescoringCalibration:
    """probability = sigmoid(weights . features + offset).

    Attributes:
        weights: one for each of FEATURES: logit of the probability before rescoring, logit of the crop's
            vector, margin of the best other known name over the query, log10 of the share of the image.
        offset: added to the weighted features.
        detection: probability from which a region is published.
    """

    weights: tuple[float, ...] = (0.5, 0.5, 0.0, 0.0)
    offset: float = 0.0
    detection: float = 0.5

    def probability(self, features: Sequence[float]) -> float:
        """Probability for features in the order of FEATURES."""
        score = float(np.dot(self.weights, features)) + self.offset
        return float(expit(score))

    def highest_probability(self, probability: float, share: float) -> float:
        """The probability that the most favourable crop could give a region.

        Args:
            probability: before rescoring.
            share: of the image.
        """
        # Another name can be as far above the query as the query is below the highest logit.
        margin_counts = self.weights[2] > 0.0
        ends = (
            (one, HIGHEST_LOGIT - one if margin_counts else 0.0) for one in (-HIGHEST_LOGIT, HIGHEST_LOGIT)
        )
        return max(
            self.probability(rescoring_features(probability, crop, margin, share)) for crop, margin in ends
        )

    def dumped(self) -> str:
        """As JSON, for ``loaded``."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> RescoringCalibration:
        """From what ``dumped`` wrote.

        Raises:
            ModelError: the text is something else.
        """
        try:
            stored = json.loads(text)
            weights = tuple(float(weight) for weight in stored["weights"])
            found = cls(weights, float(stored["offset"]), float(stored["detection"]))
            if len(weights) != len(FEATURES) or not all(map(math.isfinite, (*weights, found.offset))):
                raise ValueError("its weights are not those of this version")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(f"the calibration of a zoom head is not readable ({error})") from error
        return found


def rescoring_features(
    probability: float, crop_logit: float, name_margin: float, share: float
) -> tuple[float, ...]:
    """The calibration's inputs, in the order of FEATURES.

    Args:
        probability: before rescoring.
        crop_logit: of the crop's vector.
        name_margin: of the best other known name over the query, in logits.
        share: of the image.
    """
    p = min(max(probability, 1e-4), 1 - 1e-4)
    return float(logit(p)), crop_logit, name_margin, math.log10(max(share, 1e-6))
