"""Classifies a split: are the two parts two instances? Logistic regressions, fitted on scenes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from scipy.special import expit

from perception_contrast.core.errors import ModelError
from perception_contrast.segmentation.instances.split_cues import SplitCues
from perception_contrast.segmentation.instances.split_evidence import (
    MAX_DEPTH_STEP,
    SplitEvidence,
    evidence_terms,
)

CLASSIFIERS_FILE = Path(__file__).parent / "data" / "split_classifiers.json"


@dataclass(frozen=True)
class SplitClassifier:
    """Probability that two parts are two instances: sigmoid(weights . terms + offset).

    Attributes:
        weights: by the names of ``evidence_terms``.
        offset: added to the weighted terms.
        split_from: probability from which a region is split.
    """

    weights: Mapping[str, float]
    offset: float
    split_from: float

    def __call__(self, evidence: SplitEvidence) -> float:
        """The probability."""
        return float(expit(self._score(evidence)))

    def can_still_split(self, evidence: SplitEvidence) -> bool:
        """Whether features and depth, not measured yet, could lift the probability to ``split_from``."""
        interaction = self.weights["count_and_depth"] * evidence.count * math.log1p(MAX_DEPTH_STEP)
        highest = self._score(evidence) + self._most + max(0.0, interaction)
        return bool(expit(highest) >= self.split_from)

    @cached_property
    def _most(self) -> float:
        """The most that features and depth can add without the interaction: each term alone."""
        most = evidence_terms(SplitEvidence(features=2.0, depth=MAX_DEPTH_STEP))
        # A cosine may pass 1 by a rounding.
        return sum(max(0.0, self.weights[name] * value) for name, value in most.items()) + 1e-3

    def _score(self, evidence: SplitEvidence) -> float:
        terms = evidence_terms(evidence)
        return sum(self.weights[name] * value for name, value in terms.items()) + self.offset


@cache
def load_split_classifiers(path: Path = CLASSIFIERS_FILE) -> dict[str, SplitClassifier]:
    """The classifiers of a file by the cues that they were fitted for, see ``classifier_name``.

    Raises:
        ModelError: the file is not readable.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {
            name: SplitClassifier(
                {term: float(one["weights"][term]) for term in evidence_terms(SplitEvidence())},
                float(one["offset"]),
                float(one["split_from"]),
            )
            for name, one in stored.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not readable ({error}); reinstall the package") from error


def classifier_name(split_cues: SplitCues) -> str:
    """Name in the file of the classifier for these cues: "votes" or "looks", then "+depth" with depth."""
    return ("looks" if split_cues.instance_votes is None else "votes") + (
        "" if split_cues.depth is None else "+depth"
    )
