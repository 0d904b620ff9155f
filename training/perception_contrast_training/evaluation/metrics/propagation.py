"""Label propagation by features alone, as DINO measures video segmentation (Caron et al., ICCV 2021).

Every cell takes the labels of the cells most like it, near its own place, in the first frame and in the
last few. The features are frozen and nothing is learned.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Protocol:
    """context: frames before the current one that are looked at, beside the first. radius: of the
    neighbourhood, in cells. neighbours: most similar cells that count. temperature: of their weights.

    The defaults are those of DINO's own evaluation.
    """

    context: int = 7
    radius: int = 12
    neighbours: int = 5
    temperature: float = 0.1


class LabelPropagation:
    """Follows the labels of a first frame through the ones after it."""

    def __init__(self, features: Floats, labels: Floats, protocol: Protocol | None = None) -> None:
        """features: (h, w, c) of the first frame. labels: (h, w, k) shares of each cell, background too."""
        self._protocol = protocol or Protocol()
        self._size = (int(features.shape[0]), int(features.shape[1]))
        self._near = neighbourhood(self._size, self._protocol.radius)
        self._first = (_unit(features), _flat(labels))
        self._recent: deque[tuple[Tensor, Tensor]] = deque(maxlen=self._protocol.context)

    def __call__(self, features: Floats) -> Floats:
        """(h, w, c) of the next frame to its labels (h, w, k), shares that add up to 1."""
        now = _unit(features)
        frames = [self._first, *self._recent]
        likeness = torch.stack([(known @ now.T).masked_fill(~self._near, -torch.inf) for known, _ in frames])
        values = torch.cat([labels for _, labels in frames])
        best, cells = likeness.flatten(0, 1).topk(min(self._protocol.neighbours, len(values)), dim=0)
        weights = torch.softmax(best / self._protocol.temperature, dim=0)
        labels = torch.einsum("nt,ntk->tk", weights, values[cells])
        self._recent.append((now, labels))
        return np.asarray(labels.reshape(*self._size, -1).numpy(), np.float32)


def neighbourhood(size: tuple[int, int], radius: int) -> Tensor:
    """(h * w, h * w) bool: which cells lie within ``radius`` rows and columns of each other."""
    rows = torch.arange(size[0]).repeat_interleave(size[1])
    columns = torch.arange(size[1]).repeat(size[0])
    near = (rows[:, None] - rows).abs() <= radius
    return near & ((columns[:, None] - columns).abs() <= radius)


def shares_of(labels: NDArray[np.integer], size: tuple[int, int], classes: int) -> Floats:
    """Labels (H, W) in [0, classes) to the share of each class in each cell: (h, w, classes) float32."""
    planes = F.one_hot(torch.from_numpy(labels.astype(np.int64)), classes).permute(2, 0, 1)[None].float()
    return np.asarray(F.interpolate(planes, size=size, mode="area")[0].permute(1, 2, 0).numpy(), np.float32)


def labels_of(shares: Floats, size: tuple[int, int]) -> NDArray[np.int64]:
    """Shares (h, w, k) to labels (H, W): bilinear, each class stretched to [0, 1], the highest wins.

    The stretching is DINO's: without it, thin things that never fill a cell would vanish.
    """
    planes = torch.from_numpy(shares).permute(2, 0, 1)[None]
    large = F.interpolate(planes, size=size, mode="bilinear", align_corners=False)[0]
    low, high = large.amin(dim=(1, 2), keepdim=True), large.amax(dim=(1, 2), keepdim=True)
    stretched = torch.where(high > 0, (large - low) / (high - low).clamp(min=1e-12), large)
    return np.asarray(stretched.argmax(dim=0).numpy(), np.int64)


def _unit(features: Floats) -> Tensor:
    return F.normalize(_flat(features), dim=-1)


def _flat(values: Floats) -> Tensor:
    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, values.shape[-1])
    return torch.from_numpy(flat)
