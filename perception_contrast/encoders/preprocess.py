"""Pictures to tensors, as the reference preprocessing of timm, open_clip and transformers does it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor


def image_tensor(
    image: NDArray[np.uint8], size: tuple[int, int], mean: Sequence[float], std: Sequence[float]
) -> Tensor:
    """image (H, W, 3) uint8 RGB, stretched to size (height, width), as (1, 3, height, width) float32.

    Antialiased bicubic by Pillow, which those libraries' towers were trained and measured with; then
    ``(x / 255 - mean) / std``.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"a picture must be (H, W, 3) uint8, not {image.shape} {image.dtype}")
    height, width = size
    if image.shape[:2] != (height, width):
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))
    # A copy in memory order first: torch converts and permutes a contiguous array faster.
    pixels = torch.from_numpy(np.array(image, order="C")).permute(2, 0, 1)[None]
    values = pixels.to(torch.float32, memory_format=torch.contiguous_format)
    scale = torch.tensor([1 / (255 * s) for s in std]).view(1, 3, 1, 1)
    offset = torch.tensor([-m / s for m, s in zip(mean, std, strict=True)]).view(1, 3, 1, 1)
    return values.mul_(scale).add_(offset)
