"""The vocabulary in force: set, taken over from another pipeline, extended by exemplars."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary, of_space
from perception_contrast.pipeline.query_encoder import QueryEncoder
from perception_contrast.segmentation.prepared_queries import PreparedQueries

logger = logging.getLogger(__name__)


class ActiveVocabulary:
    """One vocabulary with its vectors. A change is in force as a whole or not at all.

    Any thread may call any method; readers never wait for a change.
    """

    def __init__(self, query_encoder: QueryEncoder) -> None:
        """Starts with an empty vocabulary.

        Args:
            query_encoder: Gives new vocabularies their vectors.
        """
        self._query_encoder = query_encoder
        self._prepared = PreparedQueries(Vocabulary())
        self._trained_absent: tuple[str, ...] = ()
        self._lock = threading.Lock()

    @property
    def prepared(self) -> PreparedQueries:
        """The vocabulary in force with its vectors."""
        return self._prepared

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force."""
        return self._prepared.vocabulary

    @property
    def trained_absent(self) -> tuple[str, ...]:
        """Labels in force that the language model was trained to call absent."""
        return self._trained_absent

    def set_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        """Replaces the queries and distractors; labels keep their mask ids.

        Args:
            queries: With phrases, exemplars or both.
            distractors: Names that compete with every query and are never reported.

        Returns:
            The new vocabulary.

        Raises:
            QueryError: For queries that are malformed or cannot be encoded; the old ones stay.
            SpaceError: For an exemplar of another space; the old ones stay.
        """
        with self._lock:
            return self._put_in_force(self.vocabulary.with_queries(queries, distractors))

    def adopt(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """Takes over the vocabulary of another pipeline, with its version and mask ids.

        Texts are encoded anew. Exemplars of another space are left out, and with them the queries that had
        nothing else.

        Args:
            vocabulary: Of the other pipeline.

        Returns:
            One line for each label that lost exemplars.

        Raises:
            QueryError: For texts where no language model is loaded; the old vocabulary stays.
        """
        kept, lines = of_space(vocabulary, self._query_encoder.exemplar_space)
        with self._lock:
            self._put_in_force(kept)
        return lines

    def add_exemplar(self, label: str, exemplar: Exemplar, *, negative: bool = False) -> Vocabulary:
        """Adds an exemplar to the query of a label, which is made where there is none.

        Args:
            label: Of the query.
            exemplar: In ``QueryEncoder.exemplar_space``.
            negative: It shows what the query, which must be there, is not.

        Returns:
            The new vocabulary.

        Raises:
            QueryError: For a malformed label or exemplar, and for a negative one of a label that no query
                has; the old vocabulary stays.
            SpaceError: For an exemplar of another space; the old vocabulary stays.
        """
        with self._lock:
            known = self.vocabulary
            add = known.with_negative_exemplar if negative else known.with_exemplar
            return self._put_in_force(add(label, exemplar))

    def _put_in_force(self, vocabulary: Vocabulary) -> Vocabulary:
        prepared = self._query_encoder.prepare(vocabulary)
        absent = self._query_encoder.trained_absent(vocabulary)
        self._prepared, before, self._trained_absent = prepared, self._trained_absent, absent
        if new := [label for label in absent if label not in before]:
            logger.warning(
                "%s was trained to call %s absent, so it will hardly find it; show it an example, or take "
                "language_model siglip2-b16",
                self._query_encoder.text_model,
                ", ".join(new),
            )
        return vocabulary
