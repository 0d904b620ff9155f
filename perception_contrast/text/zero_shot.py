"""A whole image against texts: zero-shot classification, and how well a text describes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from perception_contrast.models.logit_scale import LogitScale

Array = NDArray[np.float32]


@dataclass(frozen=True)
class Classification:
    """One row for each label, in the order asked for.

    probabilities: (n,) float32, of a softmax where ``independent`` is False, else of a sigmoid each.
    cosines: (n,) float32 of the image with each label in ``space``.
    """

    labels: tuple[str, ...]
    probabilities: Array
    cosines: Array
    independent: bool
    space: str


@dataclass(frozen=True)
class ImageTextSimilarity:
    """One row for each text. cosines: (n,) float32 in ``space``.

    clip_scores: 100 * max(cosine, 0). CLIPScore as it was published is 2.5 * max(cosine, 0), a
    fortieth of that (Hessel et al., "CLIPScore", EMNLP 2021).
    """

    texts: tuple[str, ...]
    cosines: Array
    space: str

    @property
    def clip_scores(self) -> Array:
        """(n,) float32 in [0, 100]."""
        return np.asarray(100.0 * np.maximum(self.cosines, 0.0), np.float32)


def probabilities(cosines: Array, logit_scale: LogitScale) -> Array:
    """(n,) cosines to (n,) probabilities with a tower's own scale and bias, as it was trained.

    A softmax over the texts (Radford et al., CLIP, 2021), or a sigmoid of each where there is a bias
    (Zhai et al., SigLIP, 2023).
    """
    logits = logit_scale.scale * cosines.astype(np.float64)
    if logit_scale.bias is None:
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum(), np.float32)
    return np.asarray(expit(logits + logit_scale.bias), np.float32)
