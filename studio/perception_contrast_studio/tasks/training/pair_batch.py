"""A batch of pairs as tasks give it to pages, and a toy that needs no data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from perception_contrast_training.losses.unit_vectors import unit

LARGEST = 128
TOY_DIM = 32


def pair_batch(
    first: Tensor,
    second: Tensor,
    first_names: Sequence[str],
    second_names: Sequence[str],
    first_sheet: bytes | None = None,
    second_sheet: bytes | None = None,
    groups: Sequence[str] = (),
    where: Tensor | None = None,
) -> dict[str, Any]:
    """A batch of n pairs.

    Args:
        first: (n, c) float32 unit vectors.
        second: (n, c) float32 unit vectors; row i belongs to row i of ``first``.
        first_names: Names of the rows of ``first``.
        second_names: Names of the rows of ``second``.
        first_sheet: JPEG of n square pictures side by side, or None.
        second_sheet: The same of ``second``.
        groups: Class or caption of each pair, "" for none; empty where no pair has one.
        where: (n, 2, 7) as ``FRAME_POSITIONS`` in seconds and metres, or None.

    Returns:
        The arguments by name, tensors as arrays.
    """
    return {
        "first": first.numpy(),
        "second": second.numpy(),
        "first_names": list(first_names),
        "second_names": list(second_names),
        "first_sheet": first_sheet,
        "second_sheet": second_sheet,
        "groups": list(groups) or [""] * len(first),
        "where": None if where is None else where.numpy(),
    }


def toy(report: object, count: int, noise: float, seed: int) -> dict[str, Any]:
    """Random unit vectors, and each once more with noise.

    Args:
        report: Not used.
        count: Pairs.
        noise: Standard deviation of what is added, over that of the vector.
        seed: Of all chance.

    Returns:
        As ``pair_batch``, without pictures.
    """
    rng = np.random.default_rng(seed)
    first = rng.standard_normal((LARGEST, TOY_DIM))
    second = first + noise * rng.standard_normal((LARGEST, TOY_DIM))
    names = [f"item {number}" for number in range(1, count + 1)]
    vectors = [unit(torch.from_numpy(one[:count].astype(np.float32))) for one in (first, second)]
    return pair_batch(vectors[0], vectors[1], names, names)
