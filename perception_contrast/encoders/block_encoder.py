"""Raw outputs of some blocks of an encoder as one output, for a head that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.models.specs import Triple


class BlockEncoder(nn.Module, ImageEncoder):
    """The blocks ``layers`` of an encoder, side by side in the output "layers" (B, h, w, layers * c)."""

    def __init__(self, encoder: ImageEncoder, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.encoder, self.layers = encoder, layers
        self.model, self.family, self.space = encoder.model, encoder.family, encoder.space
        self.dim, self.patch = encoder.dim * len(layers), encoder.patch
        self.mean: Triple = encoder.mean
        self.std: Triple = encoder.std

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        return (EncoderOutput("layers", (Role.BLOCKS,), self.space),)

    @property
    def backbone(self) -> ImageEncoder:
        return self.encoder

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; takes no further ``layers``."""
        given = self.encoder.encode(images, self.layers)
        return (torch.cat(given[len(self.encoder.outputs) :], dim=-1),)
