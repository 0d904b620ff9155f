"""What CLIP, SigLIP and LiT share: an image tower and a text tower that meet in one space."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from perception_contrast.core.errors import RecipeError
from perception_contrast_training.losses.full_precision import at_least_float32
from perception_contrast_training.methods.base import Batch
from perception_contrast_training.methods.contrastive_batch import frame_positions
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.two_towers import Network, TwoTowers


class Towers(Protocol):
    """Images and texts to vectors of one space, not normalised. An ``nn.Module``."""

    @property
    def backbone(self) -> Network: ...

    def image_vectors(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, dim); also of vectors that were made before."""

    def text_vectors(self, texts: Sequence[str] | Tensor) -> Tensor:
        """(n, dim) of strings, or of what the text tower makes of them."""

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """Batch: image (n, 3, h, w), text: n strings, or what the text tower makes of them.

        Raises RecipeError for data without texts.
        """

    def parts(self) -> dict[str, nn.Module]:
        """By name, for the optimiser."""


def embedded(towers: Towers, batch: Batch) -> dict[str, Tensor]:
    """As ``Towers.embed``."""
    if "text" not in batch:
        raise RecipeError("images and texts are compared, but the data set has no texts")
    return {
        "image": at_least_float32(towers.image_vectors(batch["image"])),
        "text": at_least_float32(towers.text_vectors(batch["text"])),
        **frame_positions(batch),
    }


class Pair(nn.Module):
    """Images and texts to vectors of one space.

    head: the backbone's vector to that space, linear; without one the backbone's is it. locked: the backbone
    stays as it is, in evaluation mode and without gradients. Raises RecipeError where dimensions differ.
    """

    def __init__(
        self, backbone: Backbone, text: nn.Module, dim: int, *, head: bool = True, locked: bool = False
    ) -> None:
        super().__init__()
        self.backbone, self.text, self.locked = backbone, text, locked
        self.head: nn.Module = nn.Identity()
        if head:
            self.head = nn.Linear(backbone.dim, dim, bias=False)
            nn.init.normal_(self.head.weight, std=backbone.dim**-0.5)
        elif dim != backbone.dim:
            raise RecipeError(
                f"without a head for images both meet in the backbone's {backbone.dim} channels, not {dim}"
            )
        if locked:
            backbone.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> Pair:
        super().train(mode)
        if self.locked:
            self.backbone.eval()
        return self

    def image_vectors(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, dim), not normalised; also of a backbone's vectors (n, c), made before."""
        if images.dim() == 4:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.locked):
                images = self.backbone(images).pooled
        vectors: Tensor = self.head(images)
        return vectors

    def text_vectors(self, texts: Sequence[str] | Tensor) -> Tensor:
        """(n, dim), not normalised."""
        vectors: Tensor = self.text(texts)
        return vectors

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """As ``Towers.embed``."""
        return embedded(self, batch)

    def parts(self) -> dict[str, nn.Module]:
        """By name, for the optimiser."""
        return {"backbone": self.backbone, "head": self.head, "text": self.text}


class OwnPair(nn.Module):
    """Both towers of a model that knows words, which meet where they always did."""

    def __init__(self, towers: TwoTowers) -> None:
        super().__init__()
        self.backbone = towers

    def image_vectors(self, images: Tensor) -> Tensor:
        """As ``Towers.image_vectors``."""
        if images.dim() != 4:
            return images
        vectors: Tensor = self.backbone(images).pooled
        return vectors

    def text_vectors(self, texts: Sequence[str] | Tensor) -> Tensor:
        """As ``Towers.text_vectors``."""
        return self.backbone.text(texts)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """As ``Towers.embed``."""
        return embedded(self, batch)

    def parts(self) -> dict[str, nn.Module]:
        """By name, for the optimiser."""
        return {"backbone": self.backbone}

    def require_loss(self, method: str, *, sigmoid: bool) -> None:
        """Raises RecipeError unless that loss trained the model, whose temperature and bias it has."""
        if (self.backbone.tower.logit_scale.bias is not None) == sigmoid:
            return
        other, loss = ("clip", "softmax") if sigmoid else ("siglip", "sigmoid")
        raise RecipeError(
            f"'{self.backbone.spec.name}' was trained with the {loss} loss and has its temperature; in place "
            f"of method {method} use {other}"
        )


def require_unsaid(settings: object, *names: str) -> None:
    """Raises RecipeError for an option that the model itself settles."""
    for name in names:
        if getattr(settings, name) != getattr(type(settings), name):
            raise RecipeError(f"options.{name} is the model's own with text.tower: own; leave it out")


def log_scale(value: float) -> nn.Parameter:
    """An inverse temperature, learned as its logarithm."""
    return nn.Parameter(torch.tensor(math.log(value)))


def watched(embedded: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"embedding": embedded["image"].detach(), "text": embedded["text"].detach()}
