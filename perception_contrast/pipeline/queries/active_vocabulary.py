"""The vocabulary in force: set, taken over from another pipeline, extended by exemplars."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator, Sequence

from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary, of_space
from perception_contrast.pipeline.queries.query_encoder import QueryEncoder
from perception_contrast.segmentation.prepared_queries import PreparedQueries

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


class ActiveVocabulary:
    """One vocabulary with its vectors. A change is in force as a whole or not at all.

    With ``background``, one with many new texts is in force when what is known and its first new queries
    have vectors; the others are searched for as theirs come, and new rivals compete last.

    Any thread may call any method; readers never wait for a change.
    """

    def __init__(self, query_encoder: QueryEncoder, *, background: bool = False) -> None:
        """Starts with an empty vocabulary.

        Args:
            query_encoder: Gives new vocabularies their vectors.
            background: Whether many new texts are encoded beside the frames.
        """
        self._query_encoder, self._background = query_encoder, background
        self._vocabulary = Vocabulary()
        self._prepared = PreparedQueries(self._vocabulary)
        self._going_on, self._closed = threading.Event(), threading.Event()
        self._going_on.set()
        # Counts changes: what encodes for an older one stops.
        self._change, self._taking_over = 0, threading.Lock()
        self._trained_absent: tuple[str, ...] = ()
        self._trained: tuple[str, ...] = ()
        self._failure = ""
        self._lock = threading.Lock()

    @property
    def prepared(self) -> PreparedQueries:
        """The queries of the vocabulary in force that have vectors."""
        return self._prepared

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary in force."""
        return self._vocabulary

    @property
    def encoding(self) -> str:
        """How far the vectors of the vocabulary are, in one line; "" where none is being made."""
        return "" if self._failure else self._progress()

    @property
    def failure(self) -> str:
        """What is searched for where the vectors of the rest could not be made, and the remedy; else ""."""
        return self._failure

    def hold(self) -> None:
        """Encodes nothing more beside the frames until ``go_on``."""
        self._going_on.clear()

    def go_on(self) -> None:
        """Lets what ``hold`` stopped go on."""
        self._going_on.set()

    def close(self) -> None:
        """Ends what is encoded beside the frames."""
        with self._taking_over:
            self._change += 1
        self._closed.set()
        self._going_on.set()

    def rest(self, seconds: float = 0.0) -> bool:
        """Waits so long, and while texts are held: for what else is encoded beside the frames.

        Returns:
            Whether it may go on: False from ``close`` on.
        """
        self._closed.wait(seconds)
        self._going_on.wait()
        return not self._closed.is_set()

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

    def set_trained(self, labels: Sequence[str]) -> Vocabulary:
        """Replaces the classes of trained heads, which stand beside whatever the queries are.

        Args:
            labels: In their order.

        Returns:
            The new vocabulary.

        Raises:
            QueryError: For a malformed label; the old ones stay.
        """
        with self._lock:
            changed = self.vocabulary.with_trained(labels)
            self._trained = changed.trained
            return self._put_in_force(changed)

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
        vocabulary = vocabulary.with_trained(self._trained)
        stages = self._query_encoder.stages(vocabulary) if self._background else iter((vocabulary,))
        first = next(stages)
        prepared = self._query_encoder.prepare(first)
        absent = self._query_encoder.trained_absent(vocabulary)
        with self._taking_over:
            self._change += 1
            self._vocabulary, self._prepared, self._failure = vocabulary, prepared, ""
            before, self._trained_absent = self._trained_absent, absent
        if first is not vocabulary:
            arguments = (stages, self._change)
            threading.Thread(target=self._complete, args=arguments, name="texts", daemon=True).start()
        if new := [label for label in absent if label not in before]:
            logger.warning(
                "%s was trained to call %s absent, so it will hardly find it; show it an example, or take "
                "language_model siglip2-b16",
                self._query_encoder.text_model,
                ", ".join(new),
            )
        return vocabulary

    def _complete(self, stages: Iterator[Vocabulary], change: int) -> None:
        """Prepares the stages one after another, for as long as nothing else is in force."""
        started = told = time.monotonic()
        for stage in stages:
            self._going_on.wait()
            if change != self._change:
                return
            try:
                prepared = self._query_encoder.prepare(stage)
            except Exception as error:  # beside the frames, which must go on
                self._fail(error, change)
                return
            with self._taking_over:
                if change != self._change:
                    return
                self._prepared = prepared
            if self.encoding and time.monotonic() - told >= _SECONDS_BETWEEN_LINES:
                told = time.monotonic()
                logger.info("encoding new texts: %s", self.encoding)
        logger.info("all new texts were encoded in %.0f s", time.monotonic() - started)

    def _fail(self, error: Exception, change: int) -> None:
        with self._taking_over:
            if change != self._change:
                return
            self._failure = f"{self._progress()}; set the queries again ({error})"
            logger.warning("texts cannot be encoded: %s", self._failure)

    def _progress(self) -> str:
        prepared, vocabulary = self._prepared.vocabulary, self._vocabulary
        if prepared is vocabulary:
            return ""
        return f"{len(prepared.queries)} of {len(vocabulary.queries)} labels are searched for"
