"""Edits of the queries: each takes the vocabulary in force and gives the queries and distractors to set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query, Vocabulary, parse_query

Edited = tuple[Sequence[Query], Sequence[str]]
Edit = Callable[[Vocabulary], Edited]


def adding(text: str) -> Edit:
    """Adds queries, or replaces those of the same label, whose exemplars stay.

    Args:
        text: ``label`` or ``label: phrase; phrase; !negative``, several with commas between them.

    Raises:
        QueryError: A part has no label.
    """
    new = [parse_query(part) for part in text.split(",") if part.strip()]
    if not new:
        raise QueryError("write what to look for, such as: mug, seat: a sofa; a chair; !stool")
    return partial(_added, new)


def _added(new: Sequence[Query], known: Vocabulary) -> Edited:
    former = {one.label: one for one in known.queries}
    merged = {one.label: one for one in new}
    for label, query in merged.items():
        if old := former.get(label):
            merged[label] = replace(
                query,
                exemplars=old.exemplars,
                negative_exemplars=old.negative_exemplars,
                threshold=old.threshold,
            )
    return tuple({**former, **merged}.values()), known.distractors


def removing(label: str) -> Edit:
    """Removes a query."""
    return lambda known: (tuple(one for one in known.queries if one.label != label), known.distractors)


def replacing(label: str, query: Query) -> Edit:
    """Puts a query in the place of another; its exemplars and its place in the order stay.

    Args:
        label: Of the other one.
        query: With a new label, phrases, negatives or threshold.
    """

    def edit(known: Vocabulary) -> Edited:
        if all(one.label != label for one in known.queries):
            raise QueryError(f"'{label}' is not looked for any more; somebody removed it meanwhile")
        return (
            tuple(
                replace(query, exemplars=one.exemplars, negative_exemplars=one.negative_exemplars)
                if one.label == label
                else one
                for one in known.queries
            ),
            known.distractors,
        )

    return edit


def forgetting_examples(label: str) -> Edit:
    """Removes the exemplars of a query; one without words is then looked for by its label."""
    return lambda known: (
        tuple(
            replace(one, exemplars=(), negative_exemplars=()) if one.label == label else one
            for one in known.queries
        ),
        known.distractors,
    )


def adding_distractors(text: str) -> Edit:
    """Adds distractors, with commas between them."""
    new = [part.strip() for part in text.split(",") if part.strip()]
    if not new:
        raise QueryError("write what to ignore, such as: wall, floor")
    return lambda known: (known.queries, tuple(dict.fromkeys([*known.distractors, *new])))


def removing_distractor(text: str) -> Edit:
    """Removes a distractor."""
    return lambda known: (known.queries, tuple(one for one in known.distractors if one != text))


def in_one_line(query: Query) -> str:
    """A query as it is typed: ``label: phrase; !negative``."""
    parts = [*query.phrases, *(f"!{one}" for one in query.negatives)]
    return f"{query.label}: {'; '.join(parts)}" if parts else query.label
