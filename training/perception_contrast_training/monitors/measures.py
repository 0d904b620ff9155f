"""Figures of vectors that need no labels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

HARDEST, MARGINS, RIVALLED = "hardest negative", "positive's margin", "share with a rival"
LEAST_NEGATIVES = 16  # of an image, below which one of them says little


def rank_me(vectors: Tensor, epsilon: float = 1e-7) -> float:
    """Effective rank of (n, c) vectors: exp of the entropy of their singular values' shares.

    RankMe, Garrido et al., 2023, eq. 1; from 1 to min(n, c). Vectors are taken as they are.
    """
    values = torch.linalg.svdvals(vectors.double())
    shares = values / (values.sum() + 1e-300) + epsilon
    return float(torch.exp(-(shares * shares.log()).sum()))


def feature_spread(vectors: Tensor) -> float:
    """Mean deviation of the channels of unit vectors (n, c), times the root of c.

    1 where they point everywhere alike, 0 where they are all one (Chen & He, 2021, fig. 2).
    """
    unit = F.normalize(vectors.double(), dim=-1)
    return float(unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[-1]))


def alignment(first: Tensor, second: Tensor) -> float:
    """Mean squared distance of the unit vectors of two views, (n, c) each (Wang & Isola, 2020; alpha 2)."""
    a, b = F.normalize(first.double(), dim=-1), F.normalize(second.double(), dim=-1)
    return float((a - b).pow(2).sum(-1).mean())


def uniformity(vectors: Tensor) -> float:
    """log of the mean of exp(-2 d^2) over pairs of unit vectors (n, c) (Wang & Isola, 2020; t 2).

    0 where all are one; about -4 where they lie evenly on a sphere.
    """
    distances = torch.pdist(F.normalize(vectors.double(), dim=-1))
    return float(distances.pow(2).mul(-2).exp().mean().log())


def entropies(probabilities: Tensor) -> tuple[float, float]:
    """Of (n, k) probabilities: the entropy of their mean, and the mean of their entropies, in nats.

    Both are ln k at most. The first is near 0 if one choice takes all, their difference if all are alike.
    """
    p = probabilities.double()
    mean = p.mean(dim=0)
    return float(-torch.special.xlogy(mean, mean).sum()), float(-torch.special.xlogy(p, p).sum(-1).mean())


def negative_measures(
    cosines: Tensor, match: Tensor, negative: Tensor, temperature: float | None = None
) -> dict[str, Tensor]:
    """How images stand to what they are pushed away from.

    Args:
        cosines: (m, k) of images with all that they are compared with.
        match: (m,) int64, the column of each image's own second view or text.
        negative: (m, k) bool, true where a column is a negative of a row.
        temperature: Of the softmax over them; None where it is learned.

    Returns:
        For each image with at least ``LEAST_NEGATIVES``, by name: ``MARGINS``, by how many deviations of its
        negatives' cosines its own second view lies above their median, less the root of 2 ln k, by which the
        nearest of k normal ones lies above it (the deviation is from the 16th percentile to the median, which
        near-duplicates hardly move); ``RIVALLED``, 1 where a negative is as
        near as it; with a temperature ``HARDEST``, the share of the repulsion that the nearest negative
        gets. Empty where no image has enough.
    """
    enough = negative.sum(dim=1) >= LEAST_NEGATIVES
    if not bool(enough.any()):
        return {}
    cosines, match, negative = cosines[enough].float(), match[enough], negative[enough]
    count = negative.sum(dim=1)
    own = cosines.gather(1, match[:, None])[:, 0]
    low, middle = cosines.masked_fill(~negative, math.nan).nanquantile(cosines.new_tensor([0.16, 0.5]), dim=1)
    nearest = cosines.masked_fill(~negative, -math.inf)
    found = {
        MARGINS: (own - middle) / (middle - low).clamp_min(1e-12) - (2 * count.log()).sqrt(),
        RIVALLED: (nearest.amax(dim=1) >= own - 1e-6).float(),
    }
    if temperature is not None:
        found[HARDEST] = (nearest / temperature).softmax(dim=1).amax(dim=1)
    return found
