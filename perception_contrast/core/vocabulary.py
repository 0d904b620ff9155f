"""Query, Exemplar and Vocabulary: what the robot looks for, with a version that grows with each change."""

from __future__ import annotations

import logging
import math
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import QueryError

logger = logging.getLogger(__name__)

MAX_QUERIES = 1024
MAX_PHRASE_CHARACTERS = 512
UNLABELLED = 65535


@dataclass(frozen=True)
class Exemplar:
    """A thing that was shown, as feature vectors.

    The last four attributes are None if the thing was not shown in an image; ``direction`` is also None if
    the image shows too little besides the thing.

    Attributes:
        vector: (c,) float32, unit norm.
        space: Embedding space of the vectors.
        centre: (c,) float32, the mean of that image's unit vectors.
        parts: (m, c) float32, unit vectors of the thing's own cells, centred and normalised again.
        context: (n, c) float32, the same for the cells around it.
        direction: (c,) float32, the linear discriminant between the thing's cells and the rest of that image
            (Hariharan et al., 2012): (unit vector - centre) @ direction is 1 for the thing's mean.
    """

    # Hundreds of numbers tell nobody anything when an exemplar is printed.
    vector: FloatArray = field(repr=False)
    space: str
    centre: FloatArray | None = field(default=None, repr=False)
    parts: FloatArray | None = field(default=None, repr=False)
    context: FloatArray | None = field(default=None, repr=False)
    direction: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Query:
    """One kind of thing to look for.

    Attributes:
        label: Name of its detections.
        phrases: Texts that describe it. Without phrases and exemplars, the label is the phrase.
        exemplars: Examples of it.
        threshold: Lowest probability of a detection, in (0, 1); None takes the model's own.
        negatives: Phrases for what it is not. They compete with this label alone.
        negative_exemplars: Examples of what it is not. They compete with this label alone.
    """

    label: str
    phrases: tuple[str, ...] = ()
    exemplars: tuple[Exemplar, ...] = ()
    threshold: float | None = None
    negatives: tuple[str, ...] = ()
    negative_exemplars: tuple[Exemplar, ...] = ()

    def texts(self) -> tuple[str, ...]:
        """Gives the texts that are searched for.

        Returns:
            The phrases; the label itself if there are neither phrases nor exemplars.
        """
        return self.phrases if self.phrases or self.exemplars else (self.label,)


def checked_text(text: str, what: str) -> str:
    """Normalises a text (Unicode NFC, single spaces) and checks it.

    Any script will do.

    Args:
        text: A label, a phrase or a distractor.
        what: Name of the text in an error.

    Returns:
        The normalised text.

    Raises:
        QueryError: The text has nothing visible, has control characters, is not valid Unicode, or has more
            than MAX_PHRASE_CHARACTERS.
    """
    if not isinstance(text, str):
        raise QueryError(f"{what} is {text!r}, a {type(text).__name__}; give text")
    # Two spellings of one text, an accent apart or within its letter, must not be two labels.
    cleaned = " ".join(unicodedata.normalize("NFC", text).split())
    kinds = [unicodedata.category(character) for character in cleaned]
    if not any(kind[0] in "LNPS" for kind in kinds):
        raise QueryError(f"{what} is empty; give it at least one visible character")
    if len(cleaned) > MAX_PHRASE_CHARACTERS:
        raise QueryError(
            f"{what} '{cleaned[:40]}...' has {len(cleaned)} characters; at most {MAX_PHRASE_CHARACTERS}"
        )
    if "Cs" in kinds:
        raise QueryError(f"{what} {cleaned[:40]!a} is not valid text; give it in UTF-8")
    if "Cc" in kinds:
        raise QueryError(f"{what} {cleaned[:40]!a} holds a control character; leave it out")
    return cleaned


def require_list(texts: object, what: str) -> None:
    """Refuses a string, whose letters would count as texts, and a mapping.

    Args:
        texts: What should be a list of texts.
        what: Name of a text in the error.

    Raises:
        QueryError: It is a string or a mapping.
    """
    if isinstance(texts, str):
        raise QueryError(f"{what} stands in a list; give [{texts[:40]!r}] in place of {texts[:40]!r}")
    if isinstance(texts, Mapping):
        raise QueryError(f"{what} stands in a list, not in a mapping; give Query(label, phrases) objects")


def checked_texts(texts: Iterable[str], what: str) -> tuple[str, ...]:
    """Normalises and checks each text and drops duplicates.

    Args:
        texts: Labels, phrases or distractors.
        what: Name of a text in an error.

    Returns:
        The texts in their order.

    Raises:
        QueryError: A text is refused, or ``texts`` is a single string.
    """
    require_list(texts, what)
    return tuple(dict.fromkeys(checked_text(text, what) for text in texts))


def _checked(query: Query) -> Query:
    label = checked_text(query.label, "a label")
    phrases = checked_texts(query.phrases, f"a phrase of '{label}'")
    negatives = checked_texts(query.negatives, f"a negative of '{label}'")
    checked = replace(query, label=label, phrases=phrases, negatives=negatives)
    threshold = query.threshold
    if threshold is not None and not (math.isfinite(threshold) and 0.0 < threshold < 1.0):
        raise QueryError(f"threshold {threshold} of '{label}' is not between 0 and 1")
    if both := set(checked.texts()) & set(negatives):
        raise QueryError(
            f"'{label}' has {', '.join(map(repr, sorted(both)))} as phrase and as negative; drop one"
        )
    for exemplar in (*query.exemplars, *query.negative_exemplars):
        _check_exemplar(exemplar, label)
    return checked


def _check_exemplar(exemplar: Exemplar, label: str) -> None:
    if exemplar.vector.ndim != 1 or not np.isfinite(exemplar.vector).all():
        raise QueryError(f"an exemplar of '{label}' is not a finite vector")
    if abs(float(np.linalg.norm(exemplar.vector)) - 1.0) > 0.01:
        raise QueryError(f"an exemplar of '{label}' is not a unit vector; divide it by its norm")


def parse_query(text: str) -> Query:
    """Reads a query from one line.

    Args:
        text: ``label`` or ``label: phrase; phrase; !negative``.

    Returns:
        The query.

    Raises:
        QueryError: There is no label.
    """
    label, _, phrases = text.partition(":")
    if not label.strip():
        raise QueryError(f"query '{text}' has no label; write 'label' or 'label: phrase; phrase; !negative'")
    given = [phrase.strip() for phrase in phrases.split(";") if phrase.strip()]
    return Query(
        label.strip(),
        tuple(phrase for phrase in given if not phrase.startswith("!")),
        negatives=tuple(phrase.removeprefix("!").strip() for phrase in given if phrase.startswith("!")),
    )


def _parsed(query: object) -> Query:
    if isinstance(query, Query):
        return query
    if isinstance(query, str):
        return parse_query(query)
    raise QueryError(f"query {query!r} is a {type(query).__name__}; give a line of text or a Query")


def parse_queries(texts: Iterable[str]) -> tuple[Query, ...]:
    """Reads queries from lines and skips empty lines.

    Args:
        texts: Lines as of ``parse_query``.

    Returns:
        The queries in their order.

    Raises:
        QueryError: A line has no label.
    """
    return tuple(parse_query(text) for text in texts if text.strip())


@dataclass(frozen=True)
class Vocabulary:
    """The active queries and distractors.

    Attributes:
        queries: What to look for.
        distractors: Phrases that compete with every query and are never reported.
        version: A number that grows with each change.
        ids: Label to mask id (1 to 65534). A label keeps its id across changes. If all ids are in use, labels
            that are no longer looked for lose theirs to new ones, the oldest first.
        trained: Classes of trained heads, which are reported beside the queries. A query of the same label
            is answered by the head.
    """

    queries: tuple[Query, ...] = ()
    distractors: tuple[str, ...] = ()
    version: int = 0
    ids: dict[str, int] = field(default_factory=dict)
    trained: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        """All labels that are reported: those of the queries, and of trained classes beside them."""
        return tuple(dict.fromkeys((*(query.label for query in self.queries), *self.trained)))

    @classmethod
    def of(cls, queries: Iterable[Query | str], distractors: Iterable[str] = ()) -> Vocabulary:
        """Makes a vocabulary with ids of its own.

        Args:
            queries: Query objects, and lines such as ``"mug"`` or ``"seat: a sofa; a chair; !stool"``.
            distractors: Words that compete with every query and are never reported.

        Returns:
            A vocabulary of version 1.

        Raises:
            QueryError: A query or a distractor is refused.
        """
        require_list(queries, "a query")
        parsed = (_parsed(query) for query in queries)
        return cls().with_queries(parsed, distractors)

    def with_queries(self, queries: Iterable[Query], distractors: Iterable[str] = ()) -> Vocabulary:
        """Replaces the queries and distractors.

        A distractor that is also a label or a phrase of a query is left out with a warning: it would take
        half of that query's probability.

        Args:
            queries: The new queries.
            distractors: The new distractors.

        Returns:
            A new vocabulary with the next version; labels keep their ids.

        Raises:
            QueryError: A query or a distractor is refused.
        """
        checked = tuple(_checked(q) for q in queries)
        if len(checked) > MAX_QUERIES:
            raise QueryError(f"{len(checked)} queries; at most {MAX_QUERIES} are kept at once")
        labels = Counter(q.label for q in checked)
        for label, count in labels.items():
            if count > 1:
                raise QueryError(f"label '{label}' is given more than once; merge its phrases")
        others = _without_wanted(checked_texts(distractors, "a distractor"), checked)
        numbered = _numbered(self.ids, [*labels, *self.trained])
        return Vocabulary(checked, others, self.version + 1, numbered, self.trained)

    def with_trained(self, labels: Iterable[str]) -> Vocabulary:
        """Replaces the classes of trained heads.

        Args:
            labels: The classes.

        Returns:
            A new vocabulary with the next version, or this one if the classes are the same.

        Raises:
            QueryError: A label is refused; nothing is changed.
        """
        trained = checked_texts(labels, "a trained class")
        if trained == self.trained:
            return self
        numbered = _numbered(self.ids, [*(query.label for query in self.queries), *trained])
        return replace(self, version=self.version + 1, ids=numbered, trained=trained)

    def with_exemplar(self, label: str, exemplar: Exemplar) -> Vocabulary:
        """Adds an exemplar to the query of a label, or makes a new query of it.

        Args:
            label: The label.
            exemplar: An example of it.

        Returns:
            A new vocabulary with the next version.

        Raises:
            QueryError: The label or the exemplar is refused.
        """
        label = checked_text(label, "a label")
        queries = list(self.queries)
        for index, query in enumerate(queries):
            if query.label == label:
                # The words that were searched for stay in force beside the image.
                phrases = query.texts() if not query.exemplars else query.phrases
                queries[index] = replace(query, phrases=phrases, exemplars=(*query.exemplars, exemplar))
                break
        else:
            queries.append(Query(label, exemplars=(exemplar,)))
        return self.with_queries(queries, self.distractors)

    def with_negative_exemplar(self, label: str, exemplar: Exemplar) -> Vocabulary:
        """Adds to the query of a label an example of what it is not.

        Args:
            label: Label of a query of this vocabulary.
            exemplar: An example of what the label is not.

        Returns:
            A new vocabulary with the next version.

        Raises:
            QueryError: No query has that label, or the exemplar is refused.
        """
        label = checked_text(label, "a label")
        if all(query.label != label for query in self.queries):
            raise QueryError(f"no query is called '{label}'; look for it first, then show what it is not")
        queries = [
            replace(query, negative_exemplars=(*query.negative_exemplars, exemplar))
            if query.label == label
            else query
            for query in self.queries
        ]
        return self.with_queries(queries, self.distractors)


def _without_wanted(distractors: tuple[str, ...], queries: Iterable[Query]) -> tuple[str, ...]:
    """The distractors that no query looks for."""
    wanted = {text.casefold() for query in queries for text in (query.label, *query.texts())}
    dropped = [text for text in distractors if text.casefold() in wanted]
    if dropped:
        logger.warning("looked for, so no longer a distractor: %s", ", ".join(dropped))
    return tuple(text for text in distractors if text.casefold() not in wanted)


def _numbered(known: Mapping[str, int], labels: Collection[str]) -> dict[str, int]:
    """Label to mask id: the known ones, and new ones for the rest of ``labels``."""
    ids = dict(known)
    highest = max(ids.values(), default=0)
    for label in labels:
        if label in ids:
            continue
        if highest < UNLABELLED - 1:
            highest += 1
            ids[label] = highest
        else:
            # Far fewer labels are looked for at once than there are numbers, so there is always one.
            forgotten = next(old for old in ids if old not in labels)
            ids[label] = ids.pop(forgotten)
    return ids


def of_space(vocabulary: Vocabulary, space: str) -> tuple[Vocabulary, tuple[str, ...]]:
    """Keeps only exemplars of one embedding space.

    A query that has nothing but exemplars of other spaces is left out.

    Args:
        vocabulary: Queries with exemplars of any space.
        space: The space to keep.

    Returns:
        The vocabulary, with the next version if anything was left out and with the same ids; and a line for
        each label that lost exemplars.
    """
    kept, lines = [], []
    for query in vocabulary.queries:
        own = tuple(one for one in query.exemplars if one.space == space)
        against = tuple(one for one in query.negative_exemplars if one.space == space)
        lost = len(query.exemplars) - len(own)
        lost_negatives = len(query.negative_exemplars) - len(against)
        if lost_negatives:
            lines.append(
                f"{lost_negatives} negative exemplars of '{query.label}' are of another space than {space}: "
                "left out"
            )
        if lost and (own or query.phrases):
            lines.append(f"{lost} exemplars of '{query.label}' are of another space than {space}: left out")
        elif lost:
            lines.append(f"'{query.label}' was shown in another space than {space}: show it again")
            continue
        kept.append(replace(query, exemplars=own, negative_exemplars=against))
    if not lines:
        return vocabulary, ()
    return replace(vocabulary, queries=tuple(kept), version=vocabulary.version + 1), tuple(lines)
