"""Images from recordings, videos and folders, evenly spread, that the scales of 8 bits are measured on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.cli.find.find_sources import FindSource, ReadFrame, find_sources
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
    counts = [source.count() for source in sources]
    # A video does not always know its length; its share is taken from its beginning.
    known = sum(counts)
    unknown = counts.count(0)
    first = 0 if not unknown else most // len(sources) or 1
    spread = np.linspace(0, known - 1, min(known, max(0, most - unknown * first))).astype(int).tolist()
    chosen: list[NDArray[np.uint8]] = []
    reasons: list[str] = []
    before = 0
    for source, count in zip(sources, counts, strict=True):
        wanted = {index - before for index in spread if before <= index < before + count}
        for one in _frames(source, wanted if count else set(range(first))):
            if one.frame is None:
                reasons.append(one.error)
            else:
                chosen.append(one.frame.image)
        before += count
    if not chosen:
        told = f": {reasons[0]}" if reasons else ""
        raise PerceptionError(f"no image of {', '.join(map(str, paths))} can be read{told}")
    return chosen[:most]


def _frames(source: FindSource, wanted: set[int]) -> Iterator[ReadFrame]:
    """Those of these places, read no further than the last of them."""
    last = max(wanted, default=-1)
    if last < 0:
        return
    for one in source.frames(0):
        if isinstance(one, ReadFrame):
            if one.index in wanted:
                yield one
            if one.index >= last:
                return
