"""Pillow's antialiased bicubic and bilinear filters on a device, to the level."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from perception_contrast.preprocessing.bicubic import BLOCK, LOW_BITS, PRECISION_BITS, bands, height_first

_CACHED_BANDS = 64


class DeviceResize:
    """Resizes planes as ``Image.resize(..., BICUBIC)`` does, whatever TF32 setting or autocast surrounds it.

    Needs float32 products in full or TF32 precision, which is what CUDA has; on a CPU
    ``torch.set_float32_matmul_precision("medium")`` may fall short of that. Weights stay on the device, for
    the 64 newest pairs of sides. May be called from any thread.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._bands = lru_cache(maxsize=_CACHED_BANDS)(self._make_bands)

    def stretch(
        self, planes: Tensor, sizes: Sequence[tuple[int, int]], *, bilinear: bool = False
    ) -> dict[tuple[int, int], Tensor]:
        """planes (B, C, H, W) uint8 at each (height, width): (B, C, height, width) uint8, all on the device.

        Sizes share a first pass where they have it in common. bilinear: by ``Image.Resampling.BILINEAR``.
        """
        first_passes: dict[tuple[bool, int], Tensor] = {}
        stretched: dict[tuple[int, int], Tensor] = {}
        source = (planes.shape[2], planes.shape[3])
        with torch.no_grad(), torch.autocast(self._device.type, enabled=False):
            for size in dict.fromkeys(sizes):
                by_height = height_first(source, size)
                # The axis in hand is the last one.
                first, second = size if by_height else size[::-1]
                if (by_height, first) not in first_passes:
                    turned = planes.transpose(2, 3) if by_height else planes
                    first_passes[by_height, first] = self._along_rows(turned, first, bilinear)
                turned = first_passes[by_height, first].transpose(2, 3)
                passed = self._along_rows(turned, second, bilinear)
                stretched[size] = (passed if by_height else passed.transpose(2, 3)).contiguous()
        return stretched

    def _along_rows(self, planes: Tensor, target: int, bilinear: bool) -> Tensor:
        """planes (..., source) uint8 as (..., target) uint8."""
        *outer, source = planes.shape
        if source == target:
            return planes
        index, weights = self._bands(source, target, bilinear)
        blocks, window = index.shape
        rows = planes.reshape(-1, source)
        read = rows[:, index.flatten()].view(-1, blocks, window).transpose(0, 1).to(torch.float32)
        products = torch.bmm(read, weights)
        high, low = products[..., :BLOCK], products[..., BLOCK:]
        # Both parts are whole numbers; their sum needs the 31 bits that Pillow's does.
        total = high.to(torch.int32).bitwise_left_shift_(LOW_BITS).add_(low.to(torch.int32))
        total = total.add_(1 << (PRECISION_BITS - 1)).bitwise_right_shift_(PRECISION_BITS)
        levels = total.clamp_(0, 255).to(torch.uint8)
        return levels.transpose(0, 1).reshape(-1, blocks * BLOCK)[:, :target].reshape(*outer, target)

    def _make_bands(self, source: int, target: int, bilinear: bool) -> tuple[Tensor, Tensor]:
        """index (blocks, window) int64 and weights (blocks, window, 2 * BLOCK) float32, high then low."""
        made = bands(source, target, bilinear=bilinear)
        weights = np.concatenate([made.high, made.low], axis=2)
        return torch.from_numpy(made.index).to(self._device), torch.from_numpy(weights).to(self._device)
