"""Frames that cost little to make, for benches of what is done to very many of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.frame import Frame
from perception_contrast_training.embedding.frame_items import FrameItem

_STAMP = 1_700_000_000 * 10**9
_PERIOD = 10**8  # nanoseconds between frames
_KINDS = 64  # images that are made once


@dataclass(frozen=True)
class SyntheticFrames:
    """Images of ``side`` pixels, each with marks of its own, so that no two have the same vector.

    Attributes:
        frames_in_all: How many.
    """

    frames_in_all: int
    side: int = 16
    name: str = "synthetic"
    place: str = "synthetic"
    kind: str = "synthetic"
    sequential: bool = False

    def count(self) -> int:
        return self.frames_in_all

    def identity(self) -> dict[str, str | int]:
        return {"name": self.name, "place": self.place, "kind": self.kind, "frames": self.frames_in_all}

    def frames(self, start: int, stop: int | None) -> Iterator[FrameItem]:
        for index in range(start, min(self.frames_in_all, self.frames_in_all if stop is None else stop)):
            image = _images(self.side)[index % _KINDS].copy()
            row, column = divmod(index // _KINDS, self.side)
            image[row % self.side, column] = (index % 251, index % 241, index % 239)
            stamp = _STAMP + index * _PERIOD
            yield FrameItem(index, f"{index:09d}", Frame(image, stamp, "camera"), stamp=stamp)

    def lost(self) -> tuple[str, ...]:
        return ()


@lru_cache(maxsize=2)
def _images(side: int) -> list[NDArray[np.uint8]]:
    coarse = np.random.default_rng(0).integers(0, 256, (_KINDS, 4, 4, 3), np.uint8)
    return [cv2.resize(one, (side, side), interpolation=cv2.INTER_CUBIC) for one in coarse]
