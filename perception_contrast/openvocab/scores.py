"""From cosines to logits per query: words, examples and what competes with them.

A logit here always means log(p / (1 - p)) of "this place shows what the query asks for".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..language.vocabulary import Exemplar
from .examples import centred

Array = NDArray[np.float32]


@dataclass(frozen=True)
class QueryVectors:
    """Unit vectors of one query: words (n, c) and examples (m, c), either may have no rows."""

    words: Array
    examples: Array


class Scorer(Protocol):
    """How one embedding space turns cosines into logits."""

    def logits(self, cells: Array, queries: Sequence[QueryVectors], rivals: Array) -> Array:
        """cells (n, c) unit; rivals (r, c) unit vectors of distractors; to (q, n) logits."""
        ...


def _best(cells: Array, vectors: Array) -> Array:
    """Highest cosine over the rows of ``vectors``: (n,), -1 without rows."""
    if not len(vectors):
        return np.full(len(cells), -1.0, np.float32)
    best: Array = (cells @ vectors.T).max(axis=1)
    return best


def _best_of_each(cells: Array, groups: Sequence[Array]) -> Array:
    """Highest cosine over the rows of each group, by one product: (groups, n), -1 without rows."""
    best = np.full((len(groups), len(cells)), -1.0, np.float32)
    there = [index for index, group in enumerate(groups) if len(group)]
    if there:
        starts = np.cumsum([0, *(len(groups[index]) for index in there[:-1])])
        cosines = np.concatenate([groups[index] for index in there]) @ cells.T
        best[there] = np.maximum.reduceat(cosines, starts, axis=0)
    return best


def against_rivals(logits: Array, rivals: Array) -> Array:
    """Lowers logits (q, n) where a rival (n,) is as strong or stronger; leaves the rest as it was."""
    lowered: Array = (logits - np.logaddexp(0.0, 2.0 * (rivals[None] - logits)) / 2.0).astype(np.float32)
    return lowered


def contested(logits: Array, margin: float = 4.0) -> Array:
    """Lowers logits (q, ...) by what the strongest query of the place leads them by, beyond a margin.

    Two names of one thing, or a wider and a narrower one, stay within the margin and both stand; a
    name that another one beats by far gives way there. A single query is left as it is.
    """
    if len(logits) < 2:
        return logits
    lead = logits.max(axis=0) - logits - margin
    lowered: Array = (logits - np.maximum(lead, 0.0)).astype(np.float32)
    return lowered


@dataclass(frozen=True)
class SigmoidScorer:
    """Each query on its own: logit = scale * cosine + bias, as trained. Order: words, examples."""

    scale: tuple[float, float]
    bias: tuple[float, float]

    def logits(self, cells: Array, queries: Sequence[QueryVectors], rivals: Array) -> Array:
        rows = np.full((len(queries), len(cells)), -20.0, np.float32)
        for kind, groups in enumerate(([q.words for q in queries], [q.examples for q in queries])):
            asked = [index for index, group in enumerate(groups) if len(group)]
            logits = self.scale[kind] * _best_of_each(cells, groups)[asked] + self.bias[kind]
            rows[asked] = np.maximum(rows[asked], logits)
        if len(rivals):
            rows = against_rivals(rows, self.scale[0] * _best(cells, rivals) + self.bias[0])
        return rows


@dataclass(frozen=True)
class SoftmaxScorer:
    """Queries compete with each other, with distractors and with neutral words, as in CLIP and SigLIP.

    scale: of cosines before the softmax. neutral: (k, c) unit vectors of background words, always there.
    """

    neutral: Array
    scale: float = 40.0

    def logits(self, cells: Array, queries: Sequence[QueryVectors], rivals: Array) -> Array:
        if not queries:
            return np.empty((0, len(cells)), np.float32)
        asked = _best_of_each(cells, [np.concatenate([q.words, q.examples]) for q in queries])
        others = np.concatenate([rivals, self.neutral]) if len(rivals) else self.neutral
        competing = self.scale * (cells @ others.T).T
        everything = np.concatenate([self.scale * asked, competing])
        top = everything.max(axis=0)
        weights = np.exp(everything - top)
        share = weights[: len(queries)] / weights.sum(axis=0)
        share = np.clip(share, 1e-6, 1 - 1e-6)
        result: Array = np.log(share / (1 - share)).astype(np.float32)
        return result


@dataclass(frozen=True)
class ExampleScorer:
    """Examples alone: near to a part of what was shown, and nearer than to what surrounded it.

    logit = sharpness * (cosine - floor), and no more than twice the sharpness times its lead, plus
    slack, over the best of the context. plain_floor: of vectors that come without a picture's centre.
    """

    floor: float = 0.43
    sharpness: float = 10.0
    slack: float = 0.03
    plain_floor: float = 0.8

    def logits(self, cells: Array, exemplar: Exemplar) -> Array:
        """cells (n, c) unit vectors to (n,) logits."""
        if exemplar.centre is None or exemplar.parts is None:
            return (2 * self.sharpness * (_best(cells, exemplar.vector[None]) - self.plain_floor)).astype(
                np.float32
            )
        rest = centred(cells, exemplar.centre)
        near = _best(rest, exemplar.parts)
        logits = self.sharpness * (near - self.floor)
        if exemplar.context is not None:
            lead = near - _best(rest, exemplar.context)
            logits = np.minimum(logits, 2.0 * self.sharpness * (lead + self.slack))
        return logits.astype(np.float32)
