"""QueryEncoder: texts and exemplars to the vectors that frames are searched with."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence, Set
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import BoolMask
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import QueryError
from perception_contrast.core.feature_grid import FeatureGrid
from perception_contrast.core.vocabulary import Exemplar, Vocabulary, require_list
from perception_contrast.encoders.base import LanguageModel
from perception_contrast.encoders.load_encoders import Encoders
from perception_contrast.pipeline.image_features import ImageFeatures
from perception_contrast.segmentation.exemplars import exemplar_of
from perception_contrast.segmentation.prepared_queries import PreparedQueries

# Cosine from which neighbours of a clicked cell belong to the same thing.
ALIKE_BY_WORDS = 0.7  # in the language model's grid
ALIKE_BY_FEATURES = 0.5  # in the spatial model's grid
# New sentences of a vocabulary up to which it is encoded as a whole before it is in force.
SENTENCES_AT_ONCE = 256


class QueryEncoder:
    """The text side of a model pair. Any thread may call any method, and no frame waits for it."""

    def __init__(self, encoders: Encoders, exemplar_space: str) -> None:
        """Takes loaded models.

        Args:
            encoders: The models.
            exemplar_space: Space that exemplars are compared in.
        """
        self._encoders, self._exemplar_space = encoders, exemplar_space
        # Apart from the image encoders: a new vocabulary must not hold up the frames.
        self._lock = threading.Lock()

    @property
    def language(self) -> LanguageModel:
        """The language model. Raises QueryError where none is loaded."""
        language = self._encoders.language
        if language is None:
            raise QueryError("no language model is loaded; set language_model, for example to household-lit")
        return language

    @property
    def text_model(self) -> str:
        """Model that embeds texts, "" without one."""
        return self._encoders.language.model if self._encoders.language else ""

    @property
    def text_space(self) -> str:
        """Space of embedded texts, "" without a language model."""
        return self._encoders.language.space if self._encoders.language else ""

    @property
    def image_space(self) -> str:
        """Space of the vectors of whole images; of the image encoder's without a language model."""
        language = self._encoders.language
        return language.image_text.space if language else self._encoders.spatial.space

    @property
    def exemplar_space(self) -> str:
        """Space of the vectors of exemplars."""
        return self._exemplar_space

    @property
    def semantic_space(self) -> str:
        """Space that queries are compared in: of texts, or of exemplars without a language model."""
        return self.text_space or self._encoders.spatial.space

    def embed_texts(
        self, texts: Sequence[str], templates: Sequence[str] | None = None, *, for_images: bool = False
    ) -> NDArray[np.float32]:
        """Embeds texts.

        Args:
            texts: At least one, none empty.
            templates: Sentences around each text, with {a}, {the} or {} in its place; their vectors are
                averaged. None takes the model's own.
            for_images: Whether they are compared with the vectors of whole images.

        Returns:
            (n, c) float32 unit rows in ``text_space``, or in ``image_space`` for whole images.

        Raises:
            QueryError: For an empty text, or without a language model.
            ModelError: For templates that do not fit the model.
        """
        encoder = self.language.image_text if for_images else self.language.text
        require_list(texts, "a text")
        if not texts or any(not text.strip() for text in texts):
            raise QueryError("give at least one text, and none that is empty")
        text = encoder if templates is None else encoder.with_templates(tuple(templates))
        with self._lock:
            return text.encode(list(texts))

    def encode_exemplar(
        self,
        features: ImageFeatures,
        *,
        box: tuple[float, float, float, float] | None = None,
        point: tuple[float, float] | None = None,
        mask: BoolMask | None = None,
    ) -> Exemplar:
        """The vector of a thing in a frame: under a mask, in a box, under a point, or all of the image.

        Args:
            features: All features of the frame.
            box: (x0, y0, x1, y1) in pixels of the frame.
            point: (x, y) in pixels of the frame.
            mask: (H, W) of the frame, True on the thing; instead of a box or a point.

        Returns:
            An exemplar in ``exemplar_space``.

        Raises:
            QueryError: For a box or point that is not in the image, and for a mask that is empty or of
                another size.
        """
        grid, alike = self._exemplar_grid(features)
        return exemplar_of(grid, box, point, alike, mask)

    def trained_absent(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """Labels of queries in words that the language model was trained to call absent.

        Args:
            vocabulary: That is searched for.

        Returns:
            Labels whose name, or each of whose phrases, training always called absent. A query with an
            exemplar is none of them: it is found by that.
        """
        language = self._encoders.language
        absent = language.trained_absent if language is not None else frozenset()
        return tuple(
            query.label
            for query in vocabulary.queries
            if not query.exemplars
            and (_noun(query.label) in absent or all(_noun(text) in absent for text in query.texts()))
        )

    def stages(self, vocabulary: Vocabulary) -> Iterator[Vocabulary]:
        """A vocabulary in parts that grow, each to be prepared in little time where the one before was.

        Each part has what needs no new vectors: known phrases and rivals, and exemplars. New phrases come in
        the order of the queries, and new rivals last.

        Args:
            vocabulary: With texts, exemplars or both.

        Yields:
            Vocabularies of the same version and mask ids, the last of which is ``vocabulary``. It is the
            only one where few sentences have no vectors yet.

        Raises:
            QueryError, SpaceError: As ``prepare``.
        """
        self._require_comparable(vocabulary)
        language = self._encoders.language
        if language is None:
            yield vocabulary
            return
        competing = (
            *(text for query in vocabulary.queries for text in query.negatives),
            *vocabulary.distractors,
        )
        each = [tuple(query.texts()) for query in vocabulary.queries]
        unknown = set(language.text.unknown([*competing, *(text for texts in each for text in texts)]))
        if len(unknown) * language.text.sentences_per_text <= SENTENCES_AT_ONCE:
            yield vocabulary
            return
        waiting = 0
        for texts in each:
            new = len(unknown.intersection(texts)) * language.text.sentences_per_text
            if waiting and waiting + new > SENTENCES_AT_ONCE:
                yield _without(vocabulary, unknown)
                waiting = 0
            unknown.difference_update(texts)
            waiting += new
        yield _without(vocabulary, unknown)
        yield vocabulary

    def prepare(self, vocabulary: Vocabulary) -> PreparedQueries:
        """Encodes a vocabulary.

        Args:
            vocabulary: With texts, exemplars or both.

        Returns:
            The vocabulary with its vectors.

        Raises:
            QueryError: For texts where no language model is loaded, and for exemplars of another length.
            SpaceError: For exemplars of another space.
        """
        self._require_comparable(vocabulary)
        language = self._encoders.language
        if language is None:
            _require_no_texts(vocabulary)
            return PreparedQueries(vocabulary)
        phrases = [query.texts() for query in vocabulary.queries]
        groups = [*phrases, *(query.negatives for query in vocabulary.queries), vocabulary.distractors]
        with self._lock:
            vectors = language.text.encode([text for group in groups for text in group])
        *each, distractors = np.split(vectors, np.cumsum([len(group) for group in groups[:-1]], dtype=int))
        count = len(phrases)
        return PreparedQueries(vocabulary, tuple(each[:count]), distractors, tuple(each[count:]))

    def _require_comparable(self, vocabulary: Vocabulary) -> None:
        spatial, language = self._encoders.spatial, self._encoders.language
        space = self._exemplar_space
        dim = language.dim if language is not None and language.space == space else spatial.dim
        for query in vocabulary.queries:
            for exemplar in (*query.exemplars, *query.negative_exemplars):
                require_same_space(exemplar.space, space, f"an exemplar of '{query.label}'")
                if exemplar.vector.shape != (dim,):
                    raise QueryError(
                        f"an exemplar of '{query.label}' has {len(exemplar.vector)} values; {space} has {dim}"
                    )

    def _exemplar_grid(self, features: ImageFeatures) -> tuple[FeatureGrid, float]:
        """The grid that exemplars are cut out of, and from which cosine its cells are alike."""
        if features.semantic is not None and features.semantic.space == self._exemplar_space:
            return features.semantic, ALIKE_BY_WORDS
        assert features.features is not None
        return features.features, ALIKE_BY_FEATURES


def _without(vocabulary: Vocabulary, unknown: Set[str]) -> Vocabulary:
    """What is left of a vocabulary without some texts; a query with nothing to find it by is left out."""
    queries = []
    for query in vocabulary.queries:
        known = tuple(text for text in query.texts() if text not in unknown)
        if unknown.isdisjoint((*query.texts(), *query.negatives)):
            queries.append(query)
        elif known or query.exemplars:
            negatives = tuple(text for text in query.negatives if text not in unknown)
            queries.append(replace(query, phrases=known if query.phrases else (), negatives=negatives))
    distractors = tuple(text for text in vocabulary.distractors if text not in unknown)
    return replace(vocabulary, queries=tuple(queries), distractors=distractors)


def _noun(text: str) -> str:
    """The text in small letters without an article."""
    plain = text.casefold()
    for article in ("a ", "an ", "the "):
        plain = plain.removeprefix(article)
    return plain


def _require_no_texts(vocabulary: Vocabulary) -> None:
    """Raises QueryError for a vocabulary with texts, which no model can encode."""
    for query in vocabulary.queries:
        if query.texts() or query.negatives:
            raise QueryError(
                f"'{query.label}' is asked for in words, but no language model is loaded; "
                "set language_model or show an exemplar"
            )
    if vocabulary.distractors:
        raise QueryError("distractors are words, but no language model is loaded; leave them empty")
