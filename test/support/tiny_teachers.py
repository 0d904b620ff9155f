"""A teacher of one convolution, for tests that go through all learning methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast_training.distillation.feature_cache import FeatureCache
from perception_contrast_training.distillation.teachers import Teacher
from perception_contrast_training.methods import distill


class OneConvolution(nn.Module, ImageEncoder):
    """Patches of 8 pixels to 12 channels."""

    model, family, space, dim, patch = "tiny", "timm", "tiny@0123456789ab", 12, 8
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, self.dim, self.patch, self.patch)
        self.eval().requires_grad_(False)

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        return (
            EncoderOutput("tokens", (Role.SPATIAL,), self.space),
            EncoderOutput("cls", (Role.SPATIAL_POOLED,), self.space),
        )

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        grid = self.patches(images)
        return grid.permute(0, 2, 3, 1), grid.mean((2, 3))


def know_a_tiny_teacher(patch: pytest.MonkeyPatch) -> None:
    """Whatever teachers a recipe names, a student gets this one, and nothing is kept on disk."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        teacher = Teacher("tiny", OneConvolution(), frozenset())
    patch.setattr(distill, "load_teachers", lambda names: (teacher,))
    patch.setattr(distill, "FeatureCache", lambda *_: FeatureCache(Path("unused"), 0))
