"""Features of teachers brought to one scale, so that none of several outweighs the others.

PHI-S (Ranzinger et al., "PHI-S: Distribution Balancing for Label-Free Multi-Teacher Distillation", 2024):
features are centred, rotated so that every channel has the same variance, and divided by its root. The
teacher's own metric stays, up to one factor, where scaling each channel by itself would distort it.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Normalisation = Literal["phi-s", "channel", "none"]


class Moments:
    """Mean and covariance of vectors (..., dim) that come in parts, in float64."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, vectors: Tensor) -> None:
        """vectors: (..., dim)."""
        rows = vectors.detach().flatten(0, -2).double().cpu()
        self.count += len(rows)
        self._sum += rows.sum(0)
        self._products += rows.T @ rows

    @property
    def mean(self) -> Tensor:
        return self._sum / max(1, self.count)

    @property
    def covariance(self) -> Tensor:
        mean = self.mean
        return self._products / max(1, self.count) - torch.outer(mean, mean)


class Standardisation(nn.Module):
    """A teacher's vectors to standardised ones and back; buffers, so that checkpoints hold it.

    mean: (dim,). forward, back: (dim, dim), of rows: ``standardised = (x - mean) @ forward``.
    """

    mean: Tensor
    there: Tensor
    back: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("there", torch.eye(dim))
        self.register_buffer("back", torch.eye(dim))

    def fit(self, moments: Moments, kind: Normalisation) -> None:
        """Settles it by what was seen of the teacher."""
        if kind == "none":
            return
        covariance = moments.covariance
        variance = covariance.diagonal()
        # What hardly varies would be blown up to noise of size one.
        least = 1e-6 * variance.mean().clamp_min(1e-12)
        if kind == "channel":
            deviation = variance.clamp_min(least).sqrt()
            there, back = torch.diag(1 / deviation), torch.diag(deviation)
        else:
            rotation = equalising_rotation(covariance)
            scale = variance.mean().clamp_min(1e-12).sqrt()
            there, back = rotation.T / scale, rotation * scale
        self.mean.copy_(moments.mean)
        self.there.copy_(there)
        self.back.copy_(back)

    def standardised(self, vectors: Tensor) -> Tensor:
        """(..., dim) of the teacher to the form that is learned."""
        return (vectors - self.mean) @ self.there

    def restored(self, vectors: Tensor) -> Tensor:
        """The way back."""
        return vectors @ self.back + self.mean


def equalising_rotation(covariance: Tensor) -> Tensor:
    """An orthogonal R, after which every channel of R x has the same variance.

    PHI-S takes Hadamard's matrix on the principal axes, which not every number of channels has. Rotations in
    a plane do it for all (Bendel and Mickey, "Population correlation matrices for sampling experiments",
    1978): each brings one channel to the mean variance, so dim - 1 of them are enough.

    Args:
        covariance: (dim, dim) float64, symmetric.
    """
    moved = covariance.clone()
    dim = len(moved)
    rotation = torch.eye(dim, dtype=moved.dtype)
    wanted = float(moved.diagonal().mean())
    for _ in range(dim - 1):
        variance = moved.diagonal()
        low, high = int(variance.argmin()), int(variance.argmax())
        if float(variance[high] - variance[low]) <= 1e-12 * max(wanted, 1e-300):
            break
        turn = _plane_rotation(moved, low, high, wanted)
        both = [low, high]
        moved[both] = turn @ moved[both]
        moved[:, both] = moved[:, both] @ turn.T
        rotation[both] = turn @ rotation[both]
    return rotation


def _plane_rotation(covariance: Tensor, low: int, high: int, wanted: float) -> Tensor:
    """(2, 2), of the channels ``low`` and ``high``, after which ``low`` has the variance ``wanted``."""
    a, b = float(covariance[low, low]) - wanted, float(covariance[high, high]) - wanted
    c = float(covariance[low, high])
    # a cos^2 + 2 c sin cos + b sin^2 = 0 with a <= 0 <= b has a root.
    tangent = (-c + math.sqrt(max(0.0, c * c - a * b))) / b if b > 0 else 0.0
    cosine = 1 / math.sqrt(1 + tangent * tangent)
    sine = cosine * tangent
    return torch.tensor([[cosine, sine], [-sine, cosine]], dtype=covariance.dtype)
