"""Tiles: a large image is encoded window by window, and the windows' grids are joined without seams."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise, product

import torch
from torch import Tensor
from torch.nn import functional

MIN_PATCHES = 8  # per side; in a smaller window an encoder sees no object as a whole
LARGER = 1.5  # times its training size: what a model with learned positions still sees as a whole
Run = Callable[[Tensor], Mapping[str, Tensor]]


def window_of(size: tuple[int, int], patch: int, side: int) -> tuple[int, int]:
    """(height, width) of the windows that an image of size (height, width) is encoded in.

    side: of a window in pixels, rounded down to patches; 0 for the whole image at once.
    """
    if not side:
        return size
    most = max(side // patch, MIN_PATCHES) * patch
    return min(size[0], most), min(size[1], most)


def automatic_tile(size: tuple[int, int], own: int) -> int:
    """Side in pixels of the tiles that suit an input of (height, width); 0 for the whole image at once.

    own: of the tiles that the model sees larger images in by itself, 0 for none. Windows of the training
    size over images whose shorter side is 1.5 times that are the practice of training-free segmentation by
    CLIP (SCLIP, Wang et al., ECCV 2024: windows of 224 pixels at 336).
    """
    return own if own and min(size) > LARGER * own else 0


def starts_of(total: int, window: int, overlap: float) -> tuple[int, ...]:
    """Where windows of so many cells begin: evenly spread, the first and the last at the ends.

    overlap: share of a window that its neighbour sees too, at least.
    """
    left = total - window
    if not left:
        return (0,)
    steps = math.ceil(left / max(1, window - math.ceil(overlap * window)))
    return tuple(round(index * left / steps) for index in range(steps + 1))


def run_in_windows(
    run: Run, images: Tensor, patch: int, side: int, overlap: float, unit_names: Collection[str] = ()
) -> Mapping[str, Tensor]:
    """Encodes images in overlapping windows and joins the results.

    Where windows overlap, cells are blended with weights that fall to the window's edge as a cosine. The
    vector of an image is the mean of its windows'.

    Args:
        run: an engine's.
        images: (B, 3, H, W), normalised.
        patch: pixels of a cell.
        side: of a window in pixels, as of ``window_of``.
        overlap: share of a window that its neighbour covers too, 0 to 0.5.
        unit_names: outputs whose vectors are made unit again.

    Returns:
        As ``run(images)``.
    """
    size = int(images.shape[-2]), int(images.shape[-1])
    window = window_of(size, patch, side)
    places = [
        _Windows(total // patch, seen // patch, overlap) for total, seen in zip(size, window, strict=True)
    ]
    if all(len(one.starts) == 1 for one in places):
        return run(images)
    parts = []
    for top in places[0].starts:
        for left in places[1].starts:
            y, x = top * patch, left * patch
            parts.append(run(images[..., y : y + window[0], x : x + window[1]]))
    joined = {name: _joined([part[name] for part in parts], *places) for name in parts[0]}
    return {n: functional.normalize(v, dim=-1) if n in unit_names else v for n, v in joined.items()}


class _Windows:
    """Windows along one axis, in patches."""

    def __init__(self, total: int, window: int, overlap: float) -> None:
        self.total, self.window = total, window
        self.starts = starts_of(total, window, overlap)

    def shares(self, finer: int) -> Tensor:
        """(windows, total * finer): how much each window counts at each cell; columns sum to 1."""
        cells = self.window * finer
        shared = min((self.window - (b - a) for a, b in pairwise(self.starts)), default=0) * finer
        # From each end of the window: how far into what its neighbour sees too.
        depth = (torch.arange(cells) + 0.5) / max(shared, 1)
        rise = 0.5 - 0.5 * torch.cos(torch.pi * depth.clamp(max=1.0))
        weights = torch.zeros(len(self.starts), self.total * finer)
        for row, start in zip(weights, self.starts, strict=True):
            row[start * finer : start * finer + cells] = rise * rise.flip(0) if shared else 1.0
        return weights / weights.sum(dim=0)


def _joined(parts: Sequence[Tensor], rows: _Windows, columns: _Windows) -> Tensor:
    """parts: an output of each window, row by row, grids (B, h, w, c) or vectors (B, c)."""
    if parts[0].ndim == 2:
        return torch.stack(list(parts)).mean(dim=0)
    return _joined_grids(parts, rows, columns)


def _joined_grids(parts: Sequence[Tensor], rows: _Windows, columns: _Windows) -> Tensor:
    first = parts[0]
    finer = first.shape[1] // rows.window
    whole = first.new_zeros(first.shape[0], rows.total * finer, columns.total * finer, first.shape[3])
    down, across = (places.shares(finer).to(whole) for places in (rows, columns))
    places = product(enumerate(rows.starts), enumerate(columns.starts))
    for part, ((row, top), (column, left)) in zip(parts, places, strict=True):
        vertical = slice(top * finer, top * finer + part.shape[1])
        horizontal = slice(left * finer, left * finer + part.shape[2])
        share = down[row, vertical, None] * across[column, horizontal]
        whole[:, vertical, horizontal] += share[..., None] * part
    return whole
