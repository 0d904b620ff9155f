"""Which images are kept back, so that no near twin of one of them was learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError

Indices = NDArray[np.int64]


def split(
    count: int,
    share: float,
    *,
    seed: int = 0,
    stamps: NDArray[np.int64] | None = None,
    groups: NDArray[np.int64] | None = None,
    margin: float = 1.0,
) -> tuple[Indices, Indices]:
    """(learned from, kept back), ascending. Frames with stamps: the last of each recording, by time.

    Within a recording neighbours are near twins, so its end is kept back as one piece, and frames less than
    ``margin`` seconds before it belong to neither. Images without stamps are drawn by chance. share: of
    the images. Raises PerceptionError if nothing would be left on a side.
    """  # fmt: skip
    if stamps is None or bool((np.asarray(stamps) < 0).any()):
        order = np.random.default_rng(seed).permutation(count)
        kept = max(1, round(share * count))
        learned, held = order[kept:], order[:kept]
    else:
        of = np.zeros(count, np.int64) if groups is None else np.asarray(groups)
        parts = [_ends(np.flatnonzero(of == group), stamps, share, margin) for group in np.unique(of)]
        learned = np.concatenate([part[0] for part in parts])
        held = np.concatenate([part[1] for part in parts])
    if not len(learned) or not len(held):
        raise PerceptionError(
            f"{count} images cannot be split with {share:.0%} kept back; gather more, or change data.held_out"
        )
    return np.sort(learned), np.sort(held)


def _ends(
    indices: Indices, stamps: NDArray[np.int64], share: float, margin: float
) -> tuple[Indices, Indices]:
    order = indices[np.argsort(stamps[indices], kind="stable")]
    kept = max(1, round(share * len(order)))
    held = order[len(order) - kept :]
    first = stamps[held[0]]
    before = order[: len(order) - kept]
    return before[stamps[before] <= first - margin * 1e9], held


def column(images: object, name: str) -> NDArray[np.int64] | None:
    """``stamps`` or ``groups`` of a data set that knows them without reading its images."""
    found: Sequence[int] | None = getattr(images, name, None)
    return None if found is None else np.asarray(found, np.int64)
