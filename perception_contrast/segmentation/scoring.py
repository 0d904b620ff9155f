"""From cosines to logits per query: words, examples and what competes with them.

A logit here always means log(p / (1 - p)) of "this place shows what the query asks for". What a query
competes with is fixed (neutral words), its own (negatives), or named to compete with all (distractors):
never the other queries. So a probability stays what it is whatever else is asked for; other queries
decide only whose a pixel is, where the highest logit wins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.vocabulary import Exemplar
from perception_contrast.segmentation.exemplars import centred

FARTHEST = 14.0  # logit beyond which a share of 1 is not told apart from all or nothing
SAME_WORD = 0.999  # cosine of two words that are one


@dataclass(frozen=True)
class QueryVectors:
    """Unit vectors of one query: words (n, c), examples (m, c), negatives (k, c); any may have no rows.

    negatives: words of what it is not, which compete with this query alone.
    """

    words: FloatArray
    examples: FloatArray
    negatives: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


class Scorer(Protocol):
    """How one embedding space turns cosines into logits."""

    def logits(
        self, cells: FloatArray, queries: Sequence[QueryVectors], distractors: FloatArray
    ) -> FloatArray:
        """cells (n, c) unit; rivals (r, c) unit vectors of distractors; to (q, n) logits."""
        ...


def _best(cells: FloatArray, vectors: FloatArray) -> FloatArray:
    """Highest cosine over the rows of ``vectors``: (n,), -1 without rows."""
    if not len(vectors):
        return np.full(len(cells), -1.0, np.float32)
    best: FloatArray = (cells @ vectors.T).max(axis=1)
    return best


def _best_of_each(cells: FloatArray, groups: Sequence[FloatArray]) -> FloatArray:
    """Highest cosine over the rows of each group, by one product: (groups, n), -1 without rows."""
    best = np.full((len(groups), len(cells)), -1.0, np.float32)
    there = [group for group in groups if len(group)]
    if not there:
        return best
    # OpenBLAS multiplies many cells with few phrases faster this way around, the turning included.
    cosines = np.asarray(cv2.transpose(cells @ np.concatenate(there).T), np.float32)
    start = 0
    for row, group in zip(best, groups, strict=True):
        if len(group):
            # Of NumPy's ways to do this for groups of rows, the one that reads whole rows.
            np.maximum.reduce(cosines[start : start + len(group)], axis=0, out=row)
            start += len(group)
    return best


def against_rivals(logits: FloatArray, distractors: FloatArray) -> FloatArray:
    """Lowers logits (n,) where a rival (n,) is as strong or stronger; leaves the rest as it was."""
    lowered: FloatArray = (logits - np.logaddexp(0.0, 2.0 * (distractors - logits)) / 2.0).astype(np.float32)
    return lowered


@dataclass(frozen=True)
class SigmoidScorer:
    """Each query on its own: logit = scale * cosine + bias, as trained. Order: words, examples.

    A distractor that is the query's own word does not compete with it.
    """

    scale: tuple[float, float]
    bias: tuple[float, float]

    def logits(
        self, cells: FloatArray, queries: Sequence[QueryVectors], distractors: FloatArray
    ) -> FloatArray:
        given = [
            (kind, index, vectors)
            for kind, name in enumerate(("words", "examples", "negatives"))
            for index, query in enumerate(queries)
            if len(vectors := getattr(query, name))
        ]
        best = _best_of_each(cells, [*(vectors for _, _, vectors in given), distractors])
        rows = np.full((len(queries), len(cells)), -20.0, np.float32)
        others: dict[int, FloatArray] = {}
        for index, query in enumerate(queries):
            own = _own(distractors, query.words)
            if not own.all():
                others[index] = _best(cells, distractors[~own]) if own.any() else best[-1]
        for (kind, index, _), cosines in zip(given, best[:-1], strict=True):
            if kind == 2:
                others[index] = np.maximum(cosines, others[index]) if index in others else cosines
            else:
                rows[index] = np.maximum(rows[index], self.scale[kind] * cosines + self.bias[kind])
        for index, cosines in others.items():
            rows[index] = against_rivals(rows[index], self.scale[0] * cosines + self.bias[0])
        return rows


@dataclass(frozen=True)
class SoftmaxScorer:
    """Each query shares 1 with neutral words, the distractors and its negatives, as CLIP was trained to.

    scale: of cosines before the softmax. neutral: (k, c) unit vectors of background words, always
    there. A neutral word or distractor that is the query's own word does not compete with it.
    """

    neutral: FloatArray
    scale: float = 40.0

    def logits(
        self, cells: FloatArray, queries: Sequence[QueryVectors], distractors: FloatArray
    ) -> FloatArray:
        if not queries:
            return np.empty((0, len(cells)), np.float32)
        asked = self.scale * _best_of_each(cells, [_words_and_examples(q) for q in queries])
        background = self.scale * (self.neutral @ cells.T)
        everything = _log_sum(background)
        distracting = self.scale * (distractors @ cells.T) if len(distractors) else background[:0]
        all_distracting = _log_sum(distracting)
        for row, query in zip(asked, queries, strict=True):
            own = _own(self.neutral, query.words)
            competing = [_log_sum(background[~own]) if own.any() else everything, all_distracting]
            if (own := _own(distractors, query.words)).any():
                competing[-1] = _log_sum(distracting[~own])
            if len(query.negatives):
                competing.append(_log_sum(self.scale * (query.negatives @ cells.T)))
            # Of a softmax log(p / (1 - p)) is what one has less the log-sum-exp of the others.
            row -= np.logaddexp.reduce(competing)
        clipped: FloatArray = np.clip(asked, -FARTHEST, FARTHEST)
        return clipped


def _words_and_examples(query: QueryVectors) -> FloatArray:
    given = [rows for rows in (query.words, query.examples) if len(rows)]
    return np.concatenate(given) if given else query.words


def _own(words: FloatArray, asked: FloatArray) -> NDArray[np.bool_]:
    """Which of ``words`` (k, c) are among the words asked for (n, c): (k,)."""
    if not len(words) or not len(asked):
        return np.zeros(len(words), bool)
    return np.asarray((words @ asked.T).max(axis=1) > SAME_WORD)


def _log_sum(logits: FloatArray) -> FloatArray:
    """log of the sum of exp over rows (r, n): (n,), minus infinity without rows."""
    if not len(logits):
        return np.full(logits.shape[1], -np.inf, np.float32)
    top = logits.max(axis=0)
    total: FloatArray = top + np.log(np.exp(logits - top).sum(axis=0))
    return total


@dataclass(frozen=True)
class ExampleScorer:
    """Examples alone: near to a part of what was shown, and nearer than to what surrounded it.

    logit = sharpness * (cosine - floor), and no more than twice the sharpness times its lead, plus
    slack, over the best of the context. plain_floor: of vectors that come without an image's centre.
    """

    floor: float = 0.43
    sharpness: float = 10.0
    slack: float = 0.03
    plain_floor: float = 0.8

    def logits(self, cells: FloatArray, exemplar: Exemplar) -> FloatArray:
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
