"""Windows of token grids: the piece of an image that a training step sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class TokenShard(Protocol):
    """The arrays of ``scene_shards.Shard``."""

    @property
    def tokens(self) -> NDArray[np.float16]: ...
    @property
    def cls(self) -> NDArray[np.float16]: ...
    @property
    def colours(self) -> NDArray[np.float16]: ...
    @property
    def cells(self) -> NDArray[np.uint8]: ...
    @property
    def purity(self) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class TokenWindow:
    """A window of one image's arrays. middles (regions + 1, 3): of ``middles_of``."""

    tokens: NDArray[np.float16]
    colours: NDArray[np.float16]
    cls: NDArray[np.float16]
    cells: NDArray[np.uint8]
    purity: NDArray[np.uint8]
    middles: NDArray[np.float32]


def cut_window(
    shard: TokenShard, index: int, side: int, things: Sequence[bool], rng: np.random.Generator
) -> TokenWindow:
    """A window at a random place.

    Args:
        shard: Images of one grid size.
        index: Which image.
        side: Rows and columns of tokens; a smaller grid is given whole.
        things: Whether each region of the image is one thing, which has a middle.
        rng: Draws the place.
    """
    _, h, w, _ = shard.tokens.shape
    up = shard.cells.shape[1] // h
    y, x = int(rng.integers(max(h - side, 0) + 1)), int(rng.integers(max(w - side, 0) + 1))
    fine = (slice(y * up, (y + side) * up), slice(x * up, (x + side) * up))
    middles = middles_of(shard.cells[index], things)
    middles[:, :2] -= (y * up, x * up)
    return TokenWindow(
        shard.tokens[index, y : y + side, x : x + side],
        shard.colours[index][:, fine[0], fine[1]],
        shard.cls[index],
        shard.cells[index][fine],
        shard.purity[index][fine],
        middles,
    )


def middles_of(cells: NDArray[np.uint8], things: Sequence[bool]) -> NDArray[np.float32]:
    """Row, column and radius, (regions + 1, 3) float32, of what is seen of each thing in cells (h, w).

    The radius is that of a disc of the same area. 0 where there is nothing to see, and for what is no thing.
    """
    count = len(things) + 1
    flat = cells.ravel()
    area = np.bincount(flat, minlength=count)[:count]
    rows, columns = np.divmod(np.arange(flat.size), cells.shape[1])
    sums = [np.bincount(flat, weights=axis, minlength=count)[:count] for axis in (rows, columns)]
    found = np.stack([*(total / np.maximum(area, 1) for total in sums), np.sqrt(area / np.pi)], axis=1)
    nothing = ~np.array([False, *things]) | (area == 0)
    found[nothing] = 0.0
    return found.astype(np.float32)


def window_tensors(windows: Sequence[TokenWindow], layers: int) -> dict[str, Any]:
    """The fields of ``DenseBatch`` that windows of one size give, (b, ...) each.

    Args:
        windows: One an image.
        layers: Blocks of the encoder that the tokens are made of.
    """

    def together(name: str) -> Tensor:
        return torch.from_numpy(np.stack([getattr(one, name) for one in windows]).astype(np.float32))

    cells = np.stack([one.cells for one in windows]).astype(np.int64)
    return {
        "layers": together("tokens").chunk(layers, dim=-1),
        "colours": together("colours"),
        "cls": together("cls"),
        "cells": torch.from_numpy(cells).flatten(1),
        "purity": together("purity").flatten(1) / 255,
        "places": padded([one.middles for one in windows]),
    }


def padded(tables: Sequence[NDArray[np.float32]]) -> Tensor:
    """Tables (n, k) of several lengths as one (b, most, k), zeros behind."""
    most = max(len(table) for table in tables)
    return torch.from_numpy(np.stack([np.pad(t, ((0, most - len(t)), (0, 0))) for t in tables]))
