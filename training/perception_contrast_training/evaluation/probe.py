"""Linear probe: how much of a labelling lies open in frozen features (as in DINOv2, Oquab et al., 2023).

One linear layer on standardised features, fitted by AdamW to the logits enlarged over the cells. Features
are those of the encoder alone; nothing of the rest of the pipeline takes part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from perception_contrast.encoders.base import ImageEncoder, Role
from perception_contrast.images.resize import resize_labels
from perception_contrast.preprocessing.to_tensor import image_tensor
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.readers.types import IGNORED, Image


@dataclass(frozen=True)
class Variant:
    """short_side: of the network input. deep: with the blocks at half and three quarters of the depth.

    enlarge: how many times finer than the cells the logits are compared with the labels; 1 compares a
    label a cell. balanced: a class weighs by the inverse root of its share, so that rare ones count.
    """

    name: str
    short_side: int
    deep: bool
    enlarge: int
    balanced: bool


PLAIN = Variant("plain", 350, deep=False, enlarge=1, balanced=False)
FULL = Variant("full", 518, deep=True, enlarge=3, balanced=True)


@dataclass(frozen=True)
class Fit:
    """Of the linear layer: AdamW with one cycle of the learning rate."""

    epochs: int = 30
    batch: int = 4
    learning_rate: float = 5e-3
    weight_decay: float = 1e-4
    seed: int = 0


def features_of(encoder: ImageEncoder, image: Image, variant: Variant) -> Tensor:
    """image (H, W, 3) uint8 RGB to (c, h, w) float16 dense features of a frozen encoder."""
    size = input_size((image.shape[0], image.shape[1]), variant.short_side, encoder.patch)
    device = next(encoder.parameters()).device
    images = image_tensor(image, size, encoder.mean, encoder.std).to(device)
    layers = deep_layers(encoder) if variant.deep else ()
    spatial = [Role.SPATIAL in one.roles for one in encoder.outputs].index(True)
    with torch.inference_mode():
        given = encoder.encode(images, layers)
        values = torch.cat([*given[len(encoder.outputs) :], given[spatial]], dim=-1)
    return values[0].permute(2, 0, 1).half().cpu().clone()


def deep_layers(encoder: ImageEncoder) -> tuple[int, ...]:
    """Blocks at half and three quarters of the depth; none of a network without blocks of one grid."""
    depth = encoder.depth
    return () if depth < 4 else (depth // 2 - 1, 3 * depth // 4 - 1)


def input_size(size: tuple[int, int], short_side: int, patch: int) -> tuple[int, int]:
    """(height, width) of the network input: multiples of the patch, the longer side rounded up."""
    scale = short_side / min(size) / patch
    cells = [max(1, round(side * scale) if side == min(size) else math.ceil(side * scale)) for side in size]
    return cells[0] * patch, cells[1] * patch


class LinearProbe:
    """One layer from features (c, h, w) to logits of ``classes``, fitted to labels (H, W)."""

    def __init__(self, channels: int, classes: int, variant: Variant) -> None:
        self._layer = nn.Conv2d(channels, classes, 1)
        for parameter in self._layer.parameters():
            nn.init.zeros_(parameter)
        self._centre, self._spread = torch.zeros(channels), torch.ones(channels)
        self._weights = torch.ones(classes)
        self._variant = variant

    def fit(self, features: Sequence[Tensor], labels: Sequence[NDArray[np.int64]], fit: Fit) -> None:
        """features: (c, h, w) of each image; labels: (H, W), index of a class or IGNORED.

        The same seed gives the same layer on the same machine.
        """
        cells = torch.cat([one.float().flatten(1) for one in features], dim=1)
        self._centre, self._spread = cells.mean(dim=1), cells.std(dim=1).clamp(min=1e-6)
        inputs = [self._standardised(one) for one in features]
        targets = [self._targets(one, like) for one, like in zip(labels, features, strict=True)]
        if self._variant.balanced:
            self._weights = balancing_weights(targets, len(self._weights))
        batches = -(-len(inputs) // fit.batch)
        optimiser = torch.optim.AdamW(
            self._layer.parameters(), fit.learning_rate, weight_decay=fit.weight_decay
        )
        rate = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, fit.learning_rate, total_steps=fit.epochs * batches
        )
        order = torch.Generator().manual_seed(fit.seed)
        for _ in tracked(range(fit.epochs), "fitting the layer", fit.epochs):
            for chosen in torch.split(torch.randperm(len(inputs), generator=order), fit.batch):
                losses = [self._loss(inputs[i], targets[i]) for i in chosen.tolist()]
                optimiser.zero_grad()
                torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                rate.step()

    @torch.no_grad()
    def predict(self, features: Tensor, size: tuple[int, int]) -> NDArray[np.int64]:
        """Labels (H, W) of an image of ``size``; logits are enlarged, bilinear."""
        logits = self._layer(self._standardised(features)[None])
        large = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
        return np.asarray(large[0].argmax(dim=0).numpy(), np.int64)

    def _standardised(self, features: Tensor) -> Tensor:
        return (features.float() - self._centre[:, None, None]) / self._spread[:, None, None]

    def _targets(self, labels: NDArray[np.int64], features: Tensor) -> Tensor:
        """The labels at the places of the enlarged logits."""
        times = self._variant.enlarge
        size = (features.shape[1] * times, features.shape[2] * times)
        return torch.from_numpy(resize_labels(labels, size))

    def _loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        logits: Tensor = self._layer(inputs[None])
        if self._variant.enlarge > 1:
            logits = F.interpolate(logits, size=targets.shape, mode="bilinear", align_corners=False)
        # The mean over nothing would be no number.
        if not (targets != IGNORED).any():
            return logits.sum() * 0.0
        return F.cross_entropy(logits, targets[None], self._weights, ignore_index=IGNORED)


def balancing_weights(targets: Sequence[Tensor], classes: int) -> Tensor:
    """(classes,) inverse roots of the classes' shares, 1 in the mean over pixels; 1 for what never occurs."""
    counts = torch.zeros(classes)
    for one in targets:
        counts += torch.bincount(one[one != IGNORED], minlength=classes)
    shares = counts / counts.sum().clamp(min=1)
    weights = torch.where(shares > 0, shares.clamp(min=1e-9).rsqrt(), 1.0)
    return weights / (weights * shares).sum().clamp(min=1e-9) if counts.sum() else weights
