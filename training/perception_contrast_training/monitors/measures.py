"""Figures of vectors that need no labels."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


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
