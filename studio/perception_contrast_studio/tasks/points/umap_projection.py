"""UMAP of points: a part of them is laid out, and the others join their nearest ones."""

from __future__ import annotations

import io
import re
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast_studio.points.sources import Source
from perception_contrast_studio.tasks.points.point_sources import opened
from perception_contrast_studio.tasks.points.projection import into_frame, pca_positions

Report = Callable[[float, str], None]
MOST_FITTED = 20_000
_BLOCK = 1024
_JOINED = 5
# The channels in which points look for their nearest fitted ones; exact neighbours would take minutes.
_ROUGH_CHANNELS = 64
_EPOCHS = 200
# Shares of the time: neighbours, layout.
_NEIGHBOURS, _LAYOUT = 0.3, 0.8


def umap_positions(
    report: Report, source: Source, dimensions: int, near: int, spread: float, most: int = MOST_FITTED
) -> tuple[FloatArray, int]:
    """A UMAP picture (n, 3) within -1 to 1, the third 0 in 2D; and how many points it was fitted to.

    near: ``n_neighbors``. spread: ``min_dist``. most: points that are fitted; the others are placed at the
    weighted mean of those nearest to them.
    """
    report(0.0, "reading the vectors")
    _, vectors = opened(source)
    start, _ = pca_positions(report, source, dimensions)
    count = len(vectors)
    fitted = np.arange(count)
    if count > most:
        fitted = np.sort(np.random.default_rng(0).choice(count, most, replace=False))
    layout = _laid_out(report, vectors[fitted], start[fitted, :dimensions], near, spread)
    positions = np.zeros((count, 3), np.float32)
    if len(fitted) == count:
        positions[:, :dimensions] = layout
    else:
        _join_others(report, vectors, fitted, layout, positions[:, :dimensions])
    placed, _, _ = into_frame(positions[:, :dimensions])
    positions[:, :dimensions] = placed
    return positions, len(fitted)


def nearest_rows(
    queries: FloatArray, rows: FloatArray, count: int, done: Callable[[float], None]
) -> tuple[NDArray[np.int64], FloatArray]:
    """The ``count`` rows of largest product with each query, best first, and those products: (m, count)."""
    indices = np.empty((len(queries), count), np.int64)
    products = np.empty((len(queries), count), np.float32)
    for start in range(0, len(queries), _BLOCK):
        block = queries[start : start + _BLOCK] @ rows.T
        chosen = np.argpartition(block, -count, axis=1)[:, -count:]
        values = np.take_along_axis(block, chosen, axis=1)
        order = np.argsort(-values, axis=1, kind="stable")
        indices[start : start + _BLOCK] = np.take_along_axis(chosen, order, axis=1)
        products[start : start + _BLOCK] = np.take_along_axis(values, order, axis=1)
        done(min(1.0, (start + _BLOCK) / len(queries)))
    return indices, products


def _laid_out(report: Report, vectors: FloatArray, start: FloatArray, near: int, spread: float) -> Any:
    near = max(2, min(near, len(vectors) - 1))
    clock = _Clock(report)
    indices, cosines = nearest_rows(
        vectors, vectors, near, lambda part: clock.at(_NEIGHBOURS * part, "finding neighbours")
    )
    report(_NEIGHBOURS, "preparing the layout; the first time takes some 20 seconds")
    import umap

    layout = umap.UMAP(
        n_neighbors=near,
        n_components=start.shape[1],
        min_dist=spread,
        metric="cosine",
        init=start * 10,
        n_epochs=_EPOCHS,
        random_state=0,
        precomputed_knn=(indices, np.maximum(0.0, 1.0 - cosines)),
        tqdm_kwds={
            "disable": False,
            "file": _Epochs(lambda part: clock.at(_NEIGHBOURS + part * (_LAYOUT - _NEIGHBOURS), "layout")),
            "bar_format": "{n}/{total};",
            "mininterval": 0.3,
        },
    )
    with warnings.catch_warnings():
        # It says that one thread is used for a fixed seed, and that it learned no search index.
        warnings.simplefilter("ignore")
        return layout.fit_transform(vectors)


def _join_others(
    report: Report, vectors: FloatArray, fitted: NDArray[np.int64], layout: FloatArray, out: FloatArray
) -> None:
    others = np.setdiff1d(np.arange(len(vectors)), fitted)
    clock = _Clock(report)
    rough = _rough(vectors)
    indices, cosines = nearest_rows(
        rough[others],
        rough[fitted],
        _JOINED,
        lambda part: clock.at(_LAYOUT + part * (1 - _LAYOUT), f"placing {len(others)} more points"),
    )
    gaps = cosines[:, :1] - cosines
    weights = np.exp(-gaps / np.maximum(gaps.mean(axis=1, keepdims=True), 1e-6))
    weights /= weights.sum(axis=1, keepdims=True)
    out[fitted] = layout
    out[others] = np.einsum("nk,nkd->nd", weights, layout[indices])


def _rough(vectors: FloatArray) -> FloatArray:
    """Unit rows of the main components: their products are near those of the vectors."""
    if vectors.shape[1] <= _ROUGH_CHANNELS:
        return vectors
    some = vectors[:: max(1, len(vectors) // 4096)]
    _, _, axes = np.linalg.svd(some, full_matrices=False)
    rough = vectors @ axes[:_ROUGH_CHANNELS].T
    rough /= np.maximum(np.linalg.norm(rough, axis=1, keepdims=True), 1e-12)
    return np.ascontiguousarray(rough, np.float32)


class _Clock:
    """Reports a fraction with the time that is left, at most a few times a second."""

    def __init__(self, report: Report) -> None:
        self._report, self._last = report, 0.0
        self._start: tuple[float, float] | None = None

    def at(self, fraction: float, text: str) -> None:
        now = time.monotonic()
        if self._start is None:
            self._start = now, fraction
        if now - self._last < 0.25:
            return
        self._last = now
        begun, first = self._start
        gained = fraction - first
        left = f", about {(now - begun) / gained * (1 - fraction):.0f} s left" if gained > 0.05 else ""
        self._report(fraction, text + left)


class _Epochs(io.StringIO):
    """Takes the lines of umap-learn's progress bar."""

    def __init__(self, done: Callable[[float], None]) -> None:
        super().__init__()
        self._done = done

    def write(self, text: str) -> int:
        if found := re.search(r"(\d+)/(\d+);", text):
            self._done(int(found[1]) / max(1, int(found[2])))
        return len(text)
