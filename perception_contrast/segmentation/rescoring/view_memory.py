"""Remembers the features of enlarged views of a camera for as long as they look the same."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.core.arrays import FloatArray
from perception_contrast.preprocessing.region_crops import View, enlarged

# Of one camera, and cameras. A view's features take about 150 kB.
VIEWS, STREAMS = 96, 8
CELLS = 16  # a side of a signature
# Levels of 255 by which a view may differ from the one that was encoded: a cell, and cells on average.
# Sensor noise stays below them; docs/ask_for_objects.md has the figures.
MOST_OF_A_CELL, MOST_ON_AVERAGE = 10.0, 2.0
# Of one view, regions whose vectors are kept; and by how much a region may differ from such a one: in a
# cell's coverage, in all cells' on average, and in its form.
SHAPES = 4
MOST_OF_A_SHAPE_CELL, MOST_OF_A_SHAPE, MOST_OF_A_FORM = 0.15, 0.02, 0.03


def signature_of(image: NDArray[np.uint8], view: View) -> NDArray[np.float32]:
    """(CELLS, CELLS, 3) mean colours, levels of 255, of what a view shows of (H, W, 3)."""
    return enlarged(image, view, CELLS).astype(np.float32)


def looks_the_same(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    """Whether two signatures differ by noise alone."""
    difference = np.abs(one - other)
    return bool(difference.max() <= MOST_OF_A_CELL and difference.mean() <= MOST_ON_AVERAGE)


@dataclass(frozen=True)
class _NamedShape:
    """A region within a view, and its vector: coverage (g, g), form (2,) as of ``form_of``, vector (dim,)."""

    coverage: FloatArray
    form: FloatArray
    vector: FloatArray

    def is_like(self, coverage: FloatArray, form: FloatArray) -> bool:
        difference = np.abs(self.coverage - coverage)
        return bool(
            difference.max() <= MOST_OF_A_SHAPE_CELL
            and difference.mean() <= MOST_OF_A_SHAPE
            and np.abs(self.form - form).max() <= MOST_OF_A_FORM
        )


@dataclass(frozen=True)
class RememberedView:
    """A view as it was when it was encoded.

    Attributes:
        signature: of the pixels that were encoded, so that slow changes add up.
        tokens: (g, g, c) half precision, on the encoder's device.
    """

    signature: NDArray[np.float32]
    tokens: Tensor
    _shapes: deque[_NamedShape] = field(default_factory=lambda: deque(maxlen=SHAPES))

    def vector_of(self, coverage: FloatArray, form: FloatArray) -> FloatArray | None:
        """(dim,) of a region that was named here before in nearly the same outline.

        Args:
            coverage: (g, g) how much of each cell the region covers.
            form: (2,) as of ``form_of``.
        """
        return next((one.vector for one in self._shapes if one.is_like(coverage, form)), None)

    def keep_vector(self, coverage: FloatArray, form: FloatArray, vector: FloatArray) -> None:
        """Remembers the vector (dim,) of a region. coverage, form: as of ``vector_of``."""
        self._shapes.append(_NamedShape(coverage, form, vector))


@dataclass
class StreamMemory:
    """What is kept of one camera. For one thread at a time.

    Attributes:
        left_out: views that the last frame had no time for.
        spare_ms: time that earlier frames left over, or took too much of (negative).
    """

    left_out: frozenset[View] = frozenset()
    spare_ms: float = 0.0
    _views: OrderedDict[View, RememberedView] = field(default_factory=OrderedDict)

    def recall(self, image: NDArray[np.uint8], view: View) -> RememberedView | None:
        """What is known of a view, if it still looks as it did when it was encoded.

        Args:
            image: (H, W, 3) of now.
            view: where.
        """
        known = self._views.get(view)
        if known is None or not looks_the_same(known.signature, signature_of(image, view)):
            return None
        self._views.move_to_end(view)
        return known

    def store(self, image: NDArray[np.uint8], view: View, tokens: Tensor) -> RememberedView:
        """Keeps the features (g, g, c) of a view; those that were not seen for longest make room.

        Args:
            image: (H, W, 3) that was encoded.
            view: where.
            tokens: of it.
        """
        known = RememberedView(signature_of(image, view), tokens.half().clone())
        self._views[view] = known
        self._views.move_to_end(view)
        while len(self._views) > VIEWS:
            self._views.popitem(last=False)
        return known

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
