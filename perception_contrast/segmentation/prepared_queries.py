"""A vocabulary with the embeddings that images are searched with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.vocabulary import Exemplar, Vocabulary


@dataclass(frozen=True)
class PreparedQueries:
    """A vocabulary and the embeddings of its texts.

    Attributes:
        vocabulary: the queries, in the order that indices below refer to, and the distractors.
        texts: of each query the embeddings of its phrases, (n, c) float32 unit rows.
        distractors: (r, c) float32 unit rows, which compete with every query.
        negatives: of each query the embeddings of its negatives, (n, c) float32 unit rows, which
            compete with that query alone. An empty tuple: no query has any.
    """

    vocabulary: Vocabulary
    texts: tuple[FloatArray, ...] = ()
    distractors: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    negatives: tuple[FloatArray, ...] = ()

    def has_texts(self, index: int) -> bool:
        """Whether query number ``index`` has a phrase; then the calibration of texts holds for it."""
        return bool(self.texts) and len(self.texts[index]) > 0

    def is_text_only(self, index: int) -> bool:
        """Whether query number ``index`` has phrases and no exemplars."""
        return self.has_texts(index) and not self.vocabulary.queries[index].exemplars

    def negatives_of(self, index: int) -> FloatArray:
        """(n, c) embeddings of the negatives of query number ``index``."""
        return self.negatives[index] if self.negatives else self.distractors[:0]

    def exemplars_of(self, index: int, space: str) -> FloatArray:
        """(m, c) vectors of the exemplars of query number ``index``.

        Raises:
            SpaceError: an exemplar is of another space than ``space``.
        """
        query = self.vocabulary.queries[index]
        return _vectors(query.exemplars, query.label, space)

    def negative_exemplars_of(self, index: int, space: str) -> FloatArray:
        """(m, c) vectors of what was shown that query number ``index`` is not. Raises SpaceError."""
        query = self.vocabulary.queries[index]
        return _vectors(query.negative_exemplars, query.label, space)


def _vectors(exemplars: Sequence[Exemplar], label: str, space: str) -> FloatArray:
    for exemplar in exemplars:
        require_same_space(exemplar.space, space, f"an exemplar of '{label}'")
    if not exemplars:
        return np.zeros((0, 0), np.float32)
    return np.stack([exemplar.vector for exemplar in exemplars])
