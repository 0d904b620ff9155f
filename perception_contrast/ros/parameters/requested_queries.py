"""The queries and distractors that parameters ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from perception_contrast.core.vocabulary import Query, parse_queries
from perception_contrast.vocabulary.vocabulary_file import named_vocabulary


class RequestedQueries(NamedTuple):
    """Arguments of ``Pipeline.set_queries``."""

    queries: tuple[Query, ...]
    distractors: tuple[str, ...]


def parse_requested_queries(
    vocabulary: str, lines: Iterable[str], distractors: Iterable[str]
) -> RequestedQueries:
    """The queries of a named vocabulary and more.

    A query of a label that the vocabulary has too takes that one's place.

    Args:
        vocabulary: Name, "" for none.
        lines: ``label`` or ``label: phrase; phrase; !negative``; empty ones are ignored.
        distractors: Empty ones are ignored.

    Raises:
        QueryError: The vocabulary or a line cannot be used.
    """
    queries, others = parse_queries(lines), tuple(text for text in distractors if text.strip())
    if not vocabulary:
        return RequestedQueries(queries, others)
    merged = named_vocabulary(vocabulary).extended(queries, others)
    return RequestedQueries(merged.queries, merged.distractors)
