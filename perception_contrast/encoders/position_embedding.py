"""Learned position embeddings at grid sizes they were not learned at."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from perception_contrast.models.specs import Resampling

KEPT_GRIDS = 16


def resampled(position: Tensor, rows: int, columns: int, rule: Resampling) -> Tensor:
    """position (1, n * n, c), row-major, to (1, rows * columns, c), resampled in float32 by ``rule``."""
    side = round(position.shape[1] ** 0.5)
    if (rows, columns) == (side, side):
        return position
    grid = position.reshape(1, side, side, -1).permute(0, 3, 1, 2).float()
    size = (max(rows, columns),) * 2 if rule.square else (rows, columns)
    corners = True if rule.corners else None  # None is False, and does not warn.
    grid = functional.interpolate(
        grid, size, mode=rule.mode, antialias=rule.antialias, align_corners=corners
    )[:, :, :rows, :columns]
    return grid.flatten(2).transpose(1, 2).to(position.dtype)


class Positions:
    """A tower's position embedding, resampled once for each grid while it takes no gradient.

    An export that ran the tower once at its size finds a constant here: antialiased bicubic has no
    ONNX operator. The embedding is taken to stay as it is; ``clear`` after changing it.
    """

    def __init__(self, rule: Resampling | None = None) -> None:
        self._rule = rule or Resampling()
        self._made: dict[tuple[int, int, str, str], Tensor] = {}

    def at(self, position: Tensor, rows: int, columns: int, *, learns: bool = False) -> Tensor:
        """position (1, n * n, c) to (1, rows * columns, c). learns: it changes, though not in this pass."""
        if learns or position.requires_grad:
            return resampled(position, rows, columns, self._rule)
        key = (rows, columns, str(position.device), str(position.dtype))
        if key not in self._made:
            if len(self._made) >= KEPT_GRIDS:
                self.clear()
            self._made[key] = resampled(position, rows, columns, self._rule)
        return self._made[key]

    def __deepcopy__(self, memo: object) -> Positions:
        return Positions(self._rule)

    def clear(self) -> None:
        self._made.clear()


def grid_of(images: Tensor, patch: int, model: str) -> tuple[int, int]:
    """(rows, columns) of patches of images (B, 3, H, W). Raises ValueError unless they fit exactly."""
    # Whole numbers also where an export records the shapes.
    height, width = (int(side) for side in images.shape[-2:])
    if not height or not width or height % patch or width % patch:
        raise ValueError(f"image of {height}x{width} for {model}: sides must be multiples of {patch}")
    return height // patch, width // patch
