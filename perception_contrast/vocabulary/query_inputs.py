"""What a caller may give as queries, as one Vocabulary."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query, Vocabulary, require_list
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary

QueriesInput = str | Path | Query | Vocabulary | Iterable[str | Query]


def vocabulary_of(queries: QueriesInput | None, distractors: Iterable[str] = ()) -> Vocabulary:
    """The vocabulary of what a caller gives as queries.

    Args:
        queries: Lines such as ``"red mug"`` or ``"seat: a sofa; a chair; !stool"`` and Query objects; a
            Vocabulary; the name of a vocabulary (``"household"``) or the path of its YAML file; None for
            no queries.
        distractors: Words for things that compete with every query and are never reported, in addition
            to the vocabulary's own.

    Returns:
        A vocabulary whose mask ids follow from the queries alone, unless a Vocabulary brings its own.

    Raises:
        QueryError: A query, a name or a file is refused.
    """
    require_list(distractors, "a distractor")
    others = tuple(distractors)
    if queries is None:
        return Vocabulary.of((), others)
    if isinstance(queries, str):
        return _named(queries, others)
    if isinstance(queries, Path):
        return with_named(queries, (), others)
    if isinstance(queries, Query):
        return Vocabulary.of((queries,), others)
    if isinstance(queries, Vocabulary):
        known = Vocabulary(ids=dict(queries.ids))
        return known.with_queries(queries.queries, (*queries.distractors, *others))
    return Vocabulary.of(queries, others)


def with_named(name: str | Path, queries: Iterable[Query], distractors: Iterable[str]) -> Vocabulary:
    """The vocabulary of a name or file with more queries; one of a label that it has takes that one's place.

    Raises:
        QueryError: A query, the name or the file is refused.
    """
    merged = load_vocabulary(name).extended(queries, distractors)
    return Vocabulary.of(merged.queries, merged.distractors)


def _named(name: str, distractors: tuple[str, ...]) -> Vocabulary:
    try:
        return with_named(name, (), distractors)
    except QueryError as error:
        raise QueryError(
            f"{error}. To search for '{name[:80]}' itself, give a list: [{name[:80]!r}]"
        ) from error
