"""The protocol of scorers: cosines of one embedding space to logits of each query.

A logit is log(p / (1 - p)) of "this cell shows the query". A query competes with fixed generic names,
with its own negatives, and with the distractors, never with the other queries: its probability does not
depend on what else is searched for. Where queries overlap, the highest logit labels the pixel.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from perception_contrast.core.arrays import FloatArray, Size

ABSENT_LOGIT = -20.0  # of a query that has nothing to compare cells with


@dataclass(frozen=True)
class QueryVectors:
    """Unit vectors of one query; each of the arrays may have no rows.

    Attributes:
        texts: (n, c) embeddings of its phrases.
        exemplars: (m, c) vectors of its exemplars.
        negatives: (k, c) embeddings of its negatives, which compete with this query alone.
        negative_exemplars: (l, c) vectors of what was shown that it is not; these compete likewise.
    """

    texts: FloatArray
    exemplars: FloatArray
    negatives: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    negative_exemplars: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


class Scorer(Protocol):
    """Turns the cosines of one embedding space into logits.

    Attributes:
        needs_frame: whether a cell's logit depends on the other cells of its frame, so that a vector alone,
            the mean of a region say, has none.
    """

    @property
    def needs_frame(self) -> bool: ...

    def logits(
        self,
        cells: FloatArray,
        queries: Sequence[QueryVectors],
        distractors: FloatArray,
        size: Size | None = None,
    ) -> FloatArray:
        """Logits of every cell for every query.

        Args:
            cells: (n, c) float32 unit rows; of a whole frame, row by row, where ``needs_frame``.
            queries: q queries.
            distractors: (r, c) float32 unit rows, which compete with every query.
            size: rows and columns of the frame's grid; None for vectors that are not a frame's.

        Returns:
            (q, n) float32.

        Raises:
            ValueError: the scorer needs a frame, and ``size`` is not that of one.
        """
        ...
