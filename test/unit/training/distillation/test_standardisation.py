"""Teachers' features on one scale, against PHI-S with Hadamard's matrix and against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard
from torch import Tensor

from perception_contrast_training.distillation.standardisation import (
    Moments,
    Standardisation,
    equalising_rotation,
)


def _vectors(dim: int, count: int = 400) -> Tensor:
    chance = torch.Generator().manual_seed(dim)
    mixing = torch.randn(dim, dim, generator=chance) * torch.logspace(-2, 1, dim)
    return torch.randn(count, dim, generator=chance) @ mixing + torch.randn(dim, generator=chance) * 3


def _fitted(vectors: Tensor, kind: str) -> Standardisation:
    moments = Moments(vectors.shape[-1])
    for part in vectors.split(90):
        moments.add(part)
    made = Standardisation(vectors.shape[-1])
    made.fit(moments, kind)  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("dim", [5, 32, 100])
def test_the_rotation_gives_every_channel_the_same_variance(dim: int) -> None:
    covariance = torch.from_numpy(np.cov(_vectors(dim).numpy().T))
    rotation = equalising_rotation(covariance)
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(dim, dtype=torch.float64), atol=1e-12, rtol=0)
    variances = (rotation @ covariance @ rotation.T).diagonal()
    torch.testing.assert_close(variances, covariance.diagonal().mean().expand(dim), rtol=1e-10, atol=0)


def test_errors_are_those_of_phi_s_with_hadamards_matrix() -> None:
    vectors = _vectors(32)
    standard = _fitted(vectors, "phi-s")
    mean, covariance = vectors.numpy().mean(0), np.cov(vectors.numpy().T, bias=True)
    values, axes = np.linalg.eigh(covariance)
    published = hadamard(32) / np.sqrt(32) @ axes.T / np.sqrt(values.mean())
    other = vectors.flip(0)
    ours = (standard.standardised(vectors) - standard.standardised(other)).square().mean()
    theirs = np.mean(((vectors.numpy() - mean) @ published.T - (other.numpy() - mean) @ published.T) ** 2)
    assert ours.item() == pytest.approx(theirs, rel=1e-4)
    torch.testing.assert_close(
        standard.standardised(vectors).var(0, correction=0), torch.ones(32), rtol=1e-3, atol=0
    )


@pytest.mark.parametrize("kind", ["phi-s", "channel", "none"])
def test_the_way_back_gives_the_teachers_vectors(kind: str) -> None:
    vectors = _vectors(24)
    standard = _fitted(vectors, kind)
    torch.testing.assert_close(
        standard.restored(standard.standardised(vectors)), vectors, rtol=1e-4, atol=1e-3
    )


def test_a_channel_that_never_varies_is_not_blown_up() -> None:
    vectors = _vectors(8)
    vectors[:, 3] = 7.0
    for kind in ("phi-s", "channel"):
        assert _fitted(vectors, kind).standardised(vectors + 1e-6).abs().max() < 100
