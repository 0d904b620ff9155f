"""Images from recordings, videos and folders, evenly spread, that the scales of 8 bits are measured on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.cli.find.find_sources import ReadFrame, find_sources
from perception_contrast.core.errors import PerceptionError


def evenly_spread_frames(paths: Sequence[Path], most: int) -> list[NDArray[np.uint8]]:
    """Images of sources, in their order.

    Args:
        paths: what ``find_sources`` takes.
        most: how many at most.

    Returns:
        (H, W, 3) uint8 RGB each.

    Raises:
        PerceptionError: a path does not exist, or no image can be read.
    """
    sources = find_sources(paths).sources
    total = sum(source.count() for source in sources)
    # A video does not always know its length; then the first ones are taken.
    wanted = (
        set(np.linspace(0, total - 1, min(most, total)).astype(int).tolist()) if total else set(range(most))
    )
    chosen: list[NDArray[np.uint8]] = []
    reasons: list[str] = []
    before = 0
    for source in sources:
        for one in source.frames(0):
            if not isinstance(one, ReadFrame) or before + one.index not in wanted:
                continue
            if one.frame is None:
                reasons.append(one.error)
            else:
                chosen.append(one.frame.image)
        before += source.count()
    if not chosen:
        told = f": {reasons[0]}" if reasons else ""
        raise PerceptionError(f"no image of {', '.join(map(str, paths))} can be read{told}")
    return chosen
