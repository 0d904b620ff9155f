"""Learned position embeddings at grid sizes they were not learned at."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def resampled(position: Tensor, rows: int, columns: int, *, antialias: bool) -> Tensor:
    """position (1, n * n, c), row-major, to (1, rows * columns, c): bicubic in float32."""
    side = round(position.shape[1] ** 0.5)
    if (rows, columns) == (side, side):
        return position
    grid = position.reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    grid = functional.interpolate(grid, (rows, columns), mode="bicubic", antialias=antialias)
    return grid.flatten(2).transpose(1, 2).to(position.dtype)


def grid_of(images: Tensor, patch: int, model: str) -> tuple[int, int]:
    """(rows, columns) of patches of images (B, 3, H, W). Raises ValueError unless they fit exactly."""
    height, width = images.shape[-2:]
    if not height or not width or height % patch or width % patch:
        raise ValueError(f"picture of {height}x{width} for {model}: sides must be multiples of {patch}")
    return height // patch, width // patch
