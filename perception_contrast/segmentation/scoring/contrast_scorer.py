"""Logits of image-text models: how far each query stands out in its frame, by the model's own scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from perception_contrast.core.arrays import BoolMask, FloatArray, Size
from perception_contrast.segmentation.scoring.base import ABSENT_LOGIT, QueryVectors
from perception_contrast.segmentation.scoring.class_negatives import same_text
from perception_contrast.segmentation.scoring.frame_contrast import (
    OUTLINE_LOGIT,
    background,
    capped_levels,
    contrast_logits,
    needed_contrast,
    own_levels,
    smoothed,
)
from perception_contrast.segmentation.scoring.name_bank import NameBank

# Logits farther from the outline say no more; alike on both sides, so that upsampling leaves it in place.
FARTHEST = 14.0


@dataclass
class ContrastScorer:
    """Names stand out against their own level in the frame and against a bank of names; a ``Scorer``.

    contrast = cosine - own level - log-mean over the bank of exp(scale * (cosine - level)) / scale. A logit
    of 0 is a contrast that few names of the bank reach in the frame. A shift of all cosines, of those of
    the queries or of those of the bank cancels out, and so does a trained bias (SigLIP).

    Attributes:
        bank: the generic names; may be replaced between two frames.
        scale: of cosines, as the model was trained.
    """

    bank: NameBank
    scale: float
    needs_frame: ClassVar[bool] = True

    def logits(
        self,
        cells: FloatArray,
        queries: Sequence[QueryVectors],
        distractors: FloatArray,
        size: Size | None = None,
    ) -> FloatArray:
        """As ``Scorer.logits``; the cells must be those of a whole frame.

        Raises:
            ValueError: ``size`` is not that of the cells' grid.
        """
        if size is None or size[0] * size[1] != len(cells):
            raise ValueError(f"{len(cells)} cells are not those of a frame of size {size}")
        rows = np.full((len(queries), len(cells)), ABSENT_LOGIT, np.float32)
        if not queries:
            return rows
        frame = _Frame.of(cells, size, self.bank, self.scale)
        # All names at once: a thousand queries are one product.
        texts = _per_query(frame, [_texts_of(query) for query in queries])
        negatives = _per_query(frame, [query.negatives for query in queries])
        distracting = frame.contrasts(distractors)
        for row, query, own, against in zip(rows, queries, texts, negatives, strict=True):
            if len(own):
                rivals = np.concatenate([distracting[~same_text(distractors, query.texts)], against])
                contrast = _against(own.max(axis=0), rivals, self.scale)
                row[:] = contrast_logits(contrast, frame.needed).ravel()
        return np.clip(rows, OUTLINE_LOGIT - FARTHEST, OUTLINE_LOGIT + FARTHEST, out=rows)


@dataclass(frozen=True)
class _Frame:
    """One frame's cells, and what the bank's names reach in it.

    Attributes:
        cells: (n, c).
        size: rows and columns.
        bank: the generic names.
        scale: of cosines.
        above: (k, h, w) cosines of the bank's names less their levels.
        bank_levels: (k,).
        needed: contrast at which the logit is 0.
    """

    cells: FloatArray
    size: Size
    bank: NameBank
    scale: float
    above: FloatArray
    bank_levels: FloatArray
    needed: float

    @classmethod
    def of(cls, cells: FloatArray, size: Size, bank: NameBank, scale: float) -> _Frame:
        cosines = _maps(cells, bank.vectors, size)
        levels = own_levels(cosines)
        levels = capped_levels(levels, levels)
        above = cosines - levels[:, None, None]
        contrasts = above - background(above, bank.others_of_itself, scale)
        return cls(cells, size, bank, scale, above, levels, needed_contrast(contrasts))

    def contrasts(self, names: FloatArray) -> FloatArray:
        """(n, h, w) contrast of names (n, c)."""
        if not len(names):
            return np.zeros((0, *self.size), np.float32)
        cosines = _maps(self.cells, names, self.size)
        levels = capped_levels(own_levels(cosines), self.bank_levels)
        others: BoolMask = self.bank.others(names)
        return cosines - levels[:, None, None] - background(self.above, others, self.scale)


def _per_query(frame: _Frame, names: Sequence[FloatArray]) -> list[FloatArray]:
    """Of each query the contrasts (n, h, w) of its names (n, c)."""
    given = [rows for rows in names if len(rows)]
    contrasts = frame.contrasts(np.concatenate(given) if given else np.zeros((0, 0), np.float32))
    return np.split(contrasts, np.cumsum([len(rows) for rows in names[:-1]], dtype=int))


def _maps(cells: FloatArray, names: FloatArray, size: Size) -> FloatArray:
    return smoothed(np.ascontiguousarray((cells @ names.T).T).reshape(-1, *size))


def _texts_of(query: QueryVectors) -> FloatArray:
    given = [rows for rows in (query.texts, query.exemplars) if len(rows)]
    return np.concatenate(given) if given else query.texts


def _against(contrast: FloatArray, rivals: FloatArray, scale: float) -> FloatArray:
    """A query's contrast (h, w), less where one of ``rivals`` (r, h, w) stands out as far or farther.

    It is weighed by the query's share in the softmax of the two, by the model's own scale.
    """
    if not len(rivals):
        return contrast
    share = expit(scale * (contrast - rivals.max(axis=0)))
    return np.asarray(np.minimum(contrast, contrast * share), np.float32)
