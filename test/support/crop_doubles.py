"""A crop encoder on a double of an image encoder, whose features are mean colours; it counts its passes."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from perception_contrast.encoders.rescoring_head import RescoringConfig, RescoringHead
from perception_contrast.segmentation.rescoring.crop_encoder import CropEncoder, RegionCrop

CHANNELS = 12


class ColourSession:
    """Stands for an ``EncoderSession``. batches: sizes that were run. ``on_run`` is called with each size."""

    def __init__(self) -> None:
        self.graph = SimpleNamespace(patch=14, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
        self.device, self.warnings = "cpu", ()
        self.search = SimpleNamespace(serving=nullcontext)
        self.batches: list[int] = []
        self.switched = False
        self.on_run = lambda size: None

    def adopt(self) -> bool:
        switched, self.switched = self.switched, False
        return switched

    def run(self, images: Tensor) -> dict[str, Tensor]:
        self.batches.append(len(images))
        self.on_run(len(images))
        cells = torch.nn.functional.avg_pool2d(images, 14).permute(0, 2, 3, 1)
        return {"layers": cells.repeat(1, 1, 1, CHANNELS // 3)}


def colour_crop_encoder() -> tuple[CropEncoder, ColourSession]:
    """With a small head of random weights, the same each time."""
    torch.manual_seed(0)
    config = RescoringConfig(channels=CHANNELS, layers=3, width=16, cell=4, dim=8, blocks=1)
    session = ColourSession()
    return CropEncoder(session, RescoringHead(config).eval().requires_grad_(False)), session  # type: ignore[arg-type]


def crops_in_a_row(count: int) -> list[RegionCrop]:
    """Of 40 pixels each, side by side, in an image of ``image_of`` their number."""
    whole = np.ones((8, 8), bool)
    return [RegionCrop((60.0 * k, 10.0, 60.0 * k + 40, 50.0), whole, 0.01) for k in range(count)]


def image_of(count: int, seed: int = 0) -> np.ndarray:
    """(60, 60 * count, 3) uint8: a colour of its own for every crop."""
    colours = np.random.default_rng(seed).integers(40, 216, (1, count, 3))
    return np.repeat(np.repeat(colours, 60, axis=0), 60, axis=1).astype(np.uint8)
