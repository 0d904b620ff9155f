"""What is asked for: words and shown examples to the vectors that frames are searched with."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import QueryError
from perception_contrast.core.feature_grid import FeatureGrid, require_same_space
from perception_contrast.core.vocabulary import Exemplar, Vocabulary
from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.encoders.load_encoders import Encoders, LanguageModel
from perception_contrast.pipeline.image_encoder_runner import ImageFeatures
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.segmentation.prepared_queries import PreparedQueries
from perception_contrast.text.text_tower import with_templates

# Cosine from which neighbours of a clicked cell belong to the same thing.
ALIKE = {"lit": 0.7, "other": 0.5}


class QueryEncoder:
    """The word side of a model pair; any thread may call any method, and no frame waits for it.

    example_space: of the vectors of shown examples.
    """

    def __init__(self, encoders: Encoders, example_space: str) -> None:
        self._encoders, self._example_space = encoders, example_space
        # Apart from the towers of images: a new vocabulary must not hold up the frames.
        self._lock = threading.Lock()

    @property
    def language(self) -> LanguageModel:
        """Raises QueryError where none is loaded."""
        language = self._encoders.language
        if language is None:
            raise QueryError("no language model is loaded; set language_model, for example to household-lit")
        return language

    def embed(self, texts: Sequence[str], templates: Sequence[str] | None = None) -> NDArray[np.float32]:
        """(n, c) float32 unit rows. templates: as of ``Pipeline.embed_texts``.

        Raises QueryError without a language model or for an empty text, ModelError for templates.
        """
        tower = self.language.text
        if not texts or any(not text.strip() for text in texts):
            raise QueryError("give at least one text, and none that is empty")
        text = tower if templates is None else with_templates(tower, tuple(templates))
        with self._lock:
            return text.encode(list(texts))

    def exemplar(
        self,
        seen: ImageFeatures,
        box: tuple[float, float, float, float] | None,
        point: tuple[float, float] | None,
    ) -> Exemplar:
        """The vector of what is in a box or under a point of a frame, of which all was seen."""
        grid, alike = self._example_grid(seen)
        exemplar = exemplar_of(grid, box, point, alike)
        language = self._encoders.language
        if isinstance(language, HouseholdLit) and grid.space == language.space:
            exemplar = replace(exemplar, vector=_adapted(language, exemplar.vector))
        return exemplar

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        """The vectors of a vocabulary.

        Raises QueryError for words where no language model is loaded and for exemplars of another
        length, SpaceError for those of another space.
        """
        self._require_comparable(vocabulary)
        language = self._encoders.language
        if language is None:
            for query in vocabulary.queries:
                if query.texts() or query.negatives:
                    raise QueryError(
                        f"'{query.label}' is asked for in words, but no language model is loaded; "
                        "set language_model or show an exemplar"
                    )
            if vocabulary.distractors:
                raise QueryError("distractors are words, but no language model is loaded; leave them empty")
            return PreparedQueries(vocabulary)
        words = [query.texts() for query in vocabulary.queries]
        groups = [*words, *(query.negatives for query in vocabulary.queries), vocabulary.distractors]
        with self._lock:
            vectors = language.text.encode([text for group in groups for text in group])
        *each, distractors = np.split(vectors, np.cumsum([len(group) for group in groups[:-1]], dtype=int))
        count = len(words)
        return PreparedQueries(vocabulary, tuple(each[:count]), distractors, tuple(each[count:]))

    def _require_comparable(self, vocabulary: Vocabulary) -> None:
        spatial, language = self._encoders.spatial, self._encoders.language
        space = self._example_space
        dim = language.dim if language is not None and language.space == space else spatial.dim
        for query in vocabulary.queries:
            for exemplar in query.exemplars:
                require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
                if exemplar.vector.shape != (dim,):
                    raise QueryError(
                        f"an exemplar of '{query.label}' has {len(exemplar.vector)} values; {space} has {dim}"
                    )

    def _example_grid(self, seen: ImageFeatures) -> tuple[FeatureGrid, float]:
        if seen.semantic is not None and seen.semantic.space == self._example_space:
            return seen.semantic, ALIKE["lit"]
        assert seen.features is not None
        return seen.features, ALIKE["other"]


def _adapted(language: HouseholdLit, vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """An example's vector (c,) through the head's adapter."""
    with torch.inference_mode():
        device = language.head.log_scale.device
        adapted = language.head.example_embedding(torch.from_numpy(vector)[None].to(device))
    return np.asarray(adapted[0].float().cpu().numpy(), np.float32)
