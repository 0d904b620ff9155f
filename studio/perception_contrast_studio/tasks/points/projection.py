"""Principal components, clusters, neighbours and words of points; all of it exact and quick."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast_studio.points.point_set import PointSet
from perception_contrast_studio.points.sources import Source
from perception_contrast_studio.tasks.encoders.encoder_list import words_refusal
from perception_contrast_studio.tasks.points.point_sources import opened

Report = Callable[[float, str], None]
WORD_NEIGHBOURS = 10
# Products of the covariance beyond which a part of the points gives it: about a second.
_MOST_PRODUCTS = 6e10
_BLOCK = 8192
_KEPT = 2


@dataclass(frozen=True)
class Components:
    """Principal components, and the frame in which they are drawn.

    Attributes:
        mean: (c,) float32.
        axes: (3, c) float32, unit rows.
        explained: (3,) shares of the variance.
        centre: (3,) middle of what is drawn.
        scale: Factor into -1 to 1.
    """

    mean: FloatArray
    axes: FloatArray
    explained: FloatArray
    centre: FloatArray
    scale: float


_components: OrderedDict[str, Components] = OrderedDict()


def open_points(
    report: Report, source: Source, dimensions: int
) -> tuple[PointSet, FloatArray, list[float], str]:
    """Opens points.

    Returns:
        What is known of them, their first picture (n, 3) float32, the shares of its axes, and why no words
        can be placed among them ("" where they can).
    """
    report(0.1, "reading the vectors")
    points, vectors = opened(source)
    report(0.6, "principal components")
    found = _components_of(source, vectors)
    refusal = words_refusal(points.model, points.space)
    return points, _placed(vectors, found, dimensions), found.explained[:dimensions].tolist(), refusal


def pca_positions(report: Report, source: Source, dimensions: int) -> tuple[FloatArray, list[float]]:
    """(n, 3) float32 within -1 to 1, the third 0 in 2D; and the shares of the variance."""
    _, vectors = opened(source)
    found = _components_of(source, vectors)
    return _placed(vectors, found, dimensions), found.explained[:dimensions].tolist()


def clusters(report: Report, source: Source, count: int) -> NDArray[np.int32]:
    """The number (n,) of each point's k-means cluster, the largest cluster first."""
    from sklearn.cluster import MiniBatchKMeans

    _, vectors = opened(source)
    report(0.3, f"{count} clusters")
    means = MiniBatchKMeans(min(count, len(vectors)), batch_size=4096, n_init=3, random_state=0)
    found = means.fit_predict(vectors)
    sizes = np.bincount(found, minlength=count)
    rank = np.empty(len(sizes), np.int32)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    numbers: NDArray[np.int32] = rank[found]
    return numbers


def neighbours(report: Report, source: Source, index: int, count: int) -> list[tuple[int, float]]:
    """The points nearest to one, without itself, with their cosines; best first."""
    _, vectors = opened(source)
    cosines = vectors @ vectors[index]
    cosines[index] = -np.inf
    return _best(cosines, min(count, len(vectors) - 1))


def cosine(report: Report, source: Source, first: int, second: int) -> float:
    """Of two points."""
    _, vectors = opened(source)
    return float(vectors[first] @ vectors[second])


def place_words(
    report: Report,
    source: Source,
    words: FloatArray,
    dimensions: int,
    positions: FloatArray | None,
    count: int,
) -> tuple[FloatArray, list[list[tuple[int, float]]]]:
    """Where words (m, c) land, (m, 3), and the ``count`` points nearest to each.

    By the principal components; or, with the ``positions`` (n, 3) of a picture that has no formula, at the
    weighted mean of their nearest points.
    """
    _, vectors = opened(source)
    cosines = words @ vectors.T
    found = [_best(row.copy(), count) for row in cosines]
    if positions is None:
        return _placed(words, _components_of(source, vectors), dimensions), found
    return np.stack([_among(row, positions) for row in cosines]), found


def principal_components(vectors: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean (c,), the first three axes (3, c) and their shares of the variance (3,).

    Axes beyond the channels are zero. Each axis points to where its largest component is positive.
    """
    count, channels = vectors.shape
    rows = vectors
    if count * channels * channels > _MOST_PRODUCTS:
        wanted = int(max(_MOST_PRODUCTS / channels**2, 4 * channels))
        rows = vectors[np.linspace(0, count - 1, min(wanted, count)).astype(np.int64)]
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        total += np.ones(len(block), np.float32) @ block
        products += block.T @ block
    mean = total / len(rows)
    # Unit vectors have a mean of length 1 at most, so that the difference keeps its digits.
    products -= np.outer(mean, mean) * len(rows)
    values, axes = np.linalg.eigh(products)
    chosen = np.zeros((3, channels), np.float32)
    best = axes.T[::-1][:3]
    signs = np.sign(best[np.arange(len(best)), np.abs(best).argmax(axis=1)])
    chosen[: len(best)] = best * np.where(signs == 0, 1, signs)[:, None]
    shares = np.zeros(3, np.float32)
    shares[: len(best)] = np.maximum(values[::-1][:3], 0) / max(float(np.maximum(values, 0).sum()), 1e-12)
    return mean.astype(np.float32), chosen, shares


def into_frame(positions: Any) -> tuple[FloatArray, FloatArray, float]:
    """Positions (n, d) moved and scaled into -1 to 1; the middle (d,) and the factor."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    centre = ((low + high) / 2).astype(np.float32)
    scale = float(2.0 / max(float((high - low).max()), 1e-12))
    return ((positions - centre) * scale).astype(np.float32), centre, scale


def _components_of(source: Source, vectors: FloatArray) -> Components:
    if source.key not in _components:
        mean, axes, shares = principal_components(vectors)
        _, centre, scale = into_frame(vectors @ axes.T - mean @ axes.T)
        _components[source.key] = Components(mean, axes, shares, centre, scale)
        while len(_components) > _KEPT:
            _components.popitem(last=False)
    return _components[source.key]


def _placed(vectors: FloatArray, found: Components, dimensions: int) -> FloatArray:
    offset = found.mean @ found.axes.T + found.centre
    positions = (vectors @ found.axes.T - offset) * found.scale
    positions[:, dimensions:] = 0.0
    return np.ascontiguousarray(positions, np.float32)


def _best(cosines: FloatArray, count: int) -> list[tuple[int, float]]:
    count = min(count, len(cosines))
    chosen = np.argpartition(-cosines, count - 1)[:count]
    chosen = chosen[np.argsort(-cosines[chosen], kind="stable")]
    return [(int(index), float(cosines[index])) for index in chosen]


def _among(cosines: FloatArray, positions: FloatArray) -> FloatArray:
    best = _best(cosines, WORD_NEIGHBOURS)
    indices = [index for index, _ in best]
    # Distances above that of the nearest, as UMAP weighs them.
    gaps = best[0][1] - np.array([value for _, value in best])
    weights = np.exp(-gaps / max(float(gaps.mean()), 1e-6))
    return np.asarray((weights[:, None] * positions[indices]).sum(axis=0) / weights.sum(), np.float32)
