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
    """A whole image compared with labels; one row for each label, in the given order.

    Attributes:
        labels: The labels.
        probabilities: (n,) float32 in [0, 1]; from one softmax, or from a sigmoid each if ``independent``.
        cosines: (n,) float32, of the image with each label.
        independent: Whether the probabilities are independent; otherwise they add up to 1.
        space: Embedding space of the cosines.
    """

    labels: tuple[str, ...]
    probabilities: Array
    cosines: Array
    independent: bool
    space: str


@dataclass(frozen=True)
class ImageTextSimilarity:
    """A whole image compared with texts; one row for each text.

    Attributes:
        texts: The texts.
        cosines: (n,) float32, of the image with each text.
        space: Embedding space of the cosines.
    """

    texts: tuple[str, ...]
    cosines: Array
    space: str

    @property
    def clip_scores(self) -> Array:
        """(n,) float32 in [0, 100], 100 * max(cosine, 0).

        CLIPScore as published is 2.5 * max(cosine, 0), a fortieth of this (Hessel et al., "CLIPScore", EMNLP
        2021).
        """
        return np.asarray(100.0 * np.maximum(self.cosines, 0.0), np.float32)


def probabilities(cosines: Array, logit_scale: LogitScale) -> Array:
    """Turns cosines into probabilities with the model's own scale and bias.

    Without a bias it is a softmax over the texts (Radford et al., CLIP, 2021), with a bias a sigmoid for each
    text (Zhai et al., SigLIP, 2023).

    Args:
        cosines: (n,) float32.
        logit_scale: Scale and bias of the model.

    Returns:
        (n,) float32 probabilities.
    """
    logits = logit_scale.scale * cosines.astype(np.float64)
    if logit_scale.bias is None:
        weights = np.exp(logits - logits.max())
        return np.asarray(weights / weights.sum(), np.float32)
    return np.asarray(expit(logits + logit_scale.bias), np.float32)
