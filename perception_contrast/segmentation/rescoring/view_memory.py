"""Remembers the features of enlarged views of a camera for as long as they look the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.preprocessing.region_crops import View

# Of one camera, and cameras. A view's features take about 150 kB.
VIEWS, STREAMS = 96, 8
CELLS = 16  # a side of a signature
# Levels of 255 by which a view may differ from the one that was encoded: a cell, and cells on average.
# Sensor noise stays below them; docs/ask_for_objects.md has the figures.
MOST_OF_A_CELL, MOST_ON_AVERAGE = 10.0, 2.0


def signature_of(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(CELLS, CELLS, 3) mean colours, levels of 255, of an enlarged view (side, side, 3)."""
    averaged = cv2.resize(pixels.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return np.asarray(averaged, np.float32)


def looks_the_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two signatures differ by noise alone."""
    difference = np.abs(one - other)
    return bool(difference.max() <= MOST_OF_A_CELL and difference.mean() <= MOST_ON_AVERAGE)


@dataclass(frozen=True)
class _Remembered:
    """signature: of the pixels that were encoded, so that slow changes add up. tokens: (g, g, c) half."""

    signature: NDArray[np.float32]
    tokens: Tensor


@dataclass
class StreamMemory:
    """What is kept of one camera. For one thread at a time.

    Attributes:
        left_out: views that the last frame had no time for.
        spare_ms: time that earlier frames left over, or took too much of (negative).
    """

    left_out: frozenset[View] = frozenset()
    spare_ms: float = 0.0
    _views: OrderedDict[View, _Remembered] = field(default_factory=OrderedDict)

    def __contains__(self, view: View) -> bool:
        """Whether something is known of a view, whatever it looks like now."""
        return view in self._views

    def recall(self, view: View, pixels: NDArray[np.uint8]) -> Tensor | None:
        """Its features (g, g, c) float32, if it still looks as it did when it was encoded.

        Args:
            view: where.
            pixels: (side, side, 3) that it shows now, enlarged.
        """
        known = self._views.get(view)
        if known is None or not looks_the_same(known.signature, signature_of(pixels)):
            return None
        self._views.move_to_end(view)
        return known.tokens.float()

    def store(self, view: View, pixels: NDArray[np.uint8], tokens: Tensor) -> None:
        """Keeps the features (g, g, c) of a view; those that were not seen for longest make room.

        Args:
            view: where.
            pixels: (side, side, 3) that were encoded.
            tokens: of these pixels.
        """
        self._views[view] = _Remembered(signature_of(pixels), tokens.half().clone())
        self._views.move_to_end(view)
        while len(self._views) > VIEWS:
            self._views.popitem(last=False)

    def order(self, views: Iterable[View]) -> list[View]:
        """The views that the last frame left out, then the others; each in the order given."""
        return sorted(views, key=lambda view: view not in self.left_out)

    def forget(self) -> None:
        """Drops all features; what was left out stays first."""
        self._views.clear()


class ViewMemory:
    """A ``StreamMemory`` for each camera. Any thread may call."""

    def __init__(self) -> None:
        self._streams: OrderedDict[str, StreamMemory] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, stream: str) -> StreamMemory:
        """That of a camera; a new one, which is not kept, for "": such images do not follow each other."""
        if not stream:
            return StreamMemory()
        with self._lock:
            memory = self._streams.setdefault(stream, StreamMemory())
            self._streams.move_to_end(stream)
            while len(self._streams) > STREAMS:
                self._streams.popitem(last=False)
            return memory

    def forget(self) -> None:
        """Drops the features of all cameras."""
        with self._lock:
            for memory in self._streams.values():
                memory.forget()
