"""LERF's relevancy of a region (Kerr et al., "LERF", ICCV 2023)."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import expit

from perception_contrast.core.arrays import FloatArray
from perception_contrast.segmentation.regions.candidate import Candidate


@dataclass(frozen=True)
class Relevancy:
    """Softmax of a query against each neutral word, the least of them.

    Attributes:
        neutral: (k, c) float32 embeddings of neutral words; no rows without a language model.
        scale: of cosines before the softmax.
        space: of ``neutral``.
    """

    neutral: FloatArray
    scale: float
    space: str

    def __call__(self, candidate: Candidate) -> float:
        """In [0, 1]; the candidate's probability where it is of another space than the words."""
        if not len(self.neutral) or candidate.space != self.space:
            return candidate.probability
        strongest = float((self.neutral @ candidate.vector).max())
        return float(expit(self.scale * (candidate.cosine - strongest)))
