"""Which frames to label next, from their vectors alone: a coreset, or typical frames of clusters.

The coreset takes the frame that is farthest from all that is known, again and again: the greedy k-centre of
Sener and Savarese (Active Learning for Convolutional Neural Networks, 2018), within twice the least possible
radius. Typical frames (TypiClust: Hacohen et al., Active Learning on a Budget, 2022) are the ones in the
densest place of each cluster without a label; with few labels they serve better, for a coreset begins with
outliers. Weights, where given, multiply distance and typicality.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast_training.vectors.neighbours import (
    BLOCK,
    Floats,
    distance,
    nearest,
    nearest_of,
    units,
)

CORESET, TYPICAL = "coreset", "typical"
WAYS = (CORESET, TYPICAL)
_NEIGHBOURS = 20  # of TypiClust
_MOST_FITTED = 20_000  # vectors that clusters are fitted to
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Chosen:
    """numbers: (m,) of the chosen frames, the most wanted first. scores: (m,), by which they were chosen."""

    numbers: Numbers
    scores: Floats


def choose(
    vectors: Any,
    count: int,
    way: str = CORESET,
    *,
    labelled: Numbers | None = None,
    weights: Floats | None = None,
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
) -> Chosen:
    """Chooses ``count`` of the unit vectors (n, c) that are not ``labelled``, or all that there are.

    Args:
        vectors: An array or a memory map, read by blocks.
        count: How many.
        way: Of ``WAYS``.
        labelled: Numbers of those that are labelled already.
        weights: (n,), how much each is wanted for another reason; None for all alike.
        seed: Of the clusters.
        tell: Called with how many are chosen, and of how many.
    """
    known = np.zeros(0, np.int64) if labelled is None else np.unique(labelled)
    wanted = np.ones(len(vectors), np.float32) if weights is None else np.asarray(weights, np.float32)
    count = min(count, len(vectors) - len(known))
    if way == TYPICAL:
        return typical(vectors, count, known, wanted, seed)
    return k_centre(vectors, count, known, wanted, tell)


def k_centre(
    vectors: Any,
    count: int,
    known: Numbers,
    weights: Floats,
    tell: Callable[[int, int], None] | None = None,
) -> Chosen:
    """The greedy k-centre; without ``known`` it begins with the frame nearest to the mean of all."""
    chosen, scores = list[int](), list[float]()
    # Bounded memory: a vector against all others, block by block, at each step.
    far = distance(nearest_of(vectors, known)) if len(known) else np.full(len(vectors), np.inf, np.float32)
    far[known] = -1.0
    for step in range(count):
        best = _central(vectors) if step == 0 and not len(known) else int(np.argmax(far * weights))
        if far[best] < 0:  # weights of zero
            best = int(np.argmax(far))
        chosen.append(best)
        scores.append(float(far[best]))
        one = units(vectors, best, best + 1)[0]
        for start in range(0, len(vectors), BLOCK):
            rows = slice(start, start + BLOCK)
            np.minimum(far[rows], distance(units(vectors, start, start + BLOCK) @ one), out=far[rows])
        far[chosen] = -1.0
        far[known] = -1.0
        if tell is not None:
            tell(step + 1, count)
    return Chosen(np.array(chosen, np.int64), np.array(scores, np.float32))


def _central(vectors: Any) -> int:
    starts = range(0, len(vectors), BLOCK)
    mean = np.sum([units(vectors, start, start + BLOCK).sum(axis=0, dtype=np.float64) for start in starts], 0)
    cosines = [units(vectors, start, start + BLOCK) @ mean.astype(np.float32) for start in starts]
    return int(np.argmax(np.concatenate(cosines)))


def typical(vectors: Any, count: int, known: Numbers, weights: Floats, seed: int) -> Chosen:
    """The most typical frame of each of the largest clusters without a labelled one."""
    clusters = _clusters(vectors, len(known) + count, seed)
    sizes = np.bincount(clusters)
    labels = np.bincount(clusters[known], minlength=len(sizes))
    labels[sizes == 0] = np.iinfo(labels.dtype).max
    chosen, scores = list[int](), list[float]()
    taken = np.zeros(len(vectors), bool)
    taken[known] = True
    while len(chosen) < count:
        # The clusters with the fewest labels first, of those the largest.
        order = np.lexsort((-sizes, labels))
        fewest = labels[order[0]]
        for cluster in order[labels[order] == fewest][: count - len(chosen)]:
            labels[cluster] += 1
            members, values = _typicality(vectors, np.flatnonzero(clusters == cluster))
            left = ~taken[members]
            if not left.any():
                continue
            values = np.where(left, values * weights[members], -np.inf)
            best = int(np.argmax(values))
            taken[members[best]] = True
            chosen.append(int(members[best]))
            scores.append(float(values[best]))
    return Chosen(np.array(chosen, np.int64), np.array(scores, np.float32))


def _typicality(vectors: Any, cluster: Numbers) -> tuple[Numbers, Floats]:
    """Frames of a cluster, at most ``_MOST_FITTED``, and their typicality: near to many of the others."""
    if len(cluster) > _MOST_FITTED:
        cluster = cluster[np.linspace(0, len(cluster) - 1, _MOST_FITTED).astype(np.int64)]
    if len(cluster) == 1:
        return cluster, np.ones(1, np.float32)
    cosines, _ = nearest(np.asarray(vectors[cluster], np.float32), _NEIGHBOURS)
    return cluster, np.asarray(1.0 / np.maximum(distance(cosines).mean(axis=1), 1e-6), np.float32)


def _clusters(vectors: Any, count: int, seed: int) -> Numbers:
    """k-means of the unit vectors, fitted to at most ``_MOST_FITTED`` of them, given to all."""
    from sklearn.cluster import MiniBatchKMeans

    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), _MOST_FITTED)).astype(np.int64))
    fitted = MiniBatchKMeans(min(count, len(rows)), random_state=seed, n_init=3, batch_size=BLOCK)
    fitted.fit(units(vectors[rows]))
    starts = range(0, len(vectors), BLOCK)
    return np.concatenate([fitted.predict(units(vectors, s, s + BLOCK)) for s in starts]).astype(np.int64)
