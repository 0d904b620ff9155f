"""Patches of an image-text model before they are made comparable with text, as an encoder of images alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, Role
from perception_contrast.encoders.position_embedding import grid_of
from perception_contrast.models.specs import Triple


class PatchEncoder(nn.Module, ImageEncoder):
    """Patches and a vector of the image before they are made comparable with text.

    The model's own pass gives the same patches, so a frame needs one pass where it is the language model too.

    Args:
        tower: the model, whose ``visual`` has ``spatial`` patches.
    """

    def __init__(self, tower: Any) -> None:
        super().__init__()
        self.tower = tower
        self.model, self.family, self.space = tower.model, tower.family, f"{tower.space}/tokens"
        self.patch, self.dim = tower.patch, tower.visual.spatial
        self.tile = tower.tile
        self.mean: Triple = tower.mean
        self.std: Triple = tower.std

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        """Tokens and a vector of the image, both after the final norm."""
        return (
            EncoderOutput("tokens", (Role.SPATIAL,), self.space),
            EncoderOutput("cls", (Role.SPATIAL_POOLED,), self.space),
        )

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        """As ``ImageEncoder.encode``; gives no ``layers``."""
        rows, columns = grid_of(images, self.patch, self.model)
        tokens, image = self.tower.visual.alone(images, rows, columns)
        return tokens.reshape(images.shape[0], rows, columns, -1), image
