"""Edits of the queries leave what they do not name as it is."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary, parse_query
from perception_contrast_studio.robot import query_edits

SHOWN = Exemplar(np.array([1.0, 0.0], np.float32), "space")
KNOWN = Vocabulary(
    (Query("mug"), Query("seat", ("a sofa",), (SHOWN,), 0.4, ("stool",)), Query("keys", (), (SHOWN,))),
    ("wall",),
    7,
)


def test_added_lines_are_queries_and_the_rest_stays() -> None:
    queries, distractors = query_edits.adding("lamp,  bed: a bed; a mattress; !sofa ,")(KNOWN)
    assert queries[:3] == KNOWN.queries and distractors == ("wall",)
    assert queries[3:] == (Query("lamp"), Query("bed", ("a bed", "a mattress"), negatives=("sofa",)))


def test_adding_a_known_label_changes_its_words_and_keeps_what_was_shown() -> None:
    queries, _ = query_edits.adding("seat: a chair")(KNOWN)
    assert [one.label for one in queries] == ["mug", "seat", "keys"]
    assert queries[1] == Query("seat", ("a chair",), (SHOWN,), 0.4)


@pytest.mark.parametrize("text", ["", " , ,", ": a sofa"])
def test_nothing_to_look_for_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        query_edits.adding(text)


def test_a_renamed_query_keeps_its_place_and_examples() -> None:
    queries, _ = query_edits.replacing("seat", Query("sofa", ("a sofa",), threshold=0.7))(KNOWN)
    assert queries[1] == Query("sofa", ("a sofa",), (SHOWN,), 0.7)
    assert (queries[0], queries[2]) == (KNOWN.queries[0], KNOWN.queries[2])


def test_a_query_that_somebody_removed_meanwhile_is_not_edited() -> None:
    with pytest.raises(QueryError, match="removed it meanwhile"):
        query_edits.replacing("lamp", Query("light"))(KNOWN)


def test_removing_and_forgetting() -> None:
    assert [one.label for one in query_edits.removing("seat")(KNOWN)[0]] == ["mug", "keys"]
    forgotten, _ = query_edits.forgetting_examples("keys")(KNOWN)
    assert forgotten[2] == Query("keys") and forgotten[1] == KNOWN.queries[1]
    assert query_edits.removing_distractor("wall")(KNOWN) == (KNOWN.queries, ())
    assert query_edits.adding_distractors("floor, wall")(KNOWN)[1] == ("wall", "floor")


@pytest.mark.parametrize("query", [Query("mug"), Query("seat", ("a sofa", "a chair"), negatives=("stool",))])
def test_a_query_in_one_line_is_read_as_itself(query: Query) -> None:
    assert parse_query(query_edits.in_one_line(query)) == query
