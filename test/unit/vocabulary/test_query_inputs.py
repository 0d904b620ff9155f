"""What callers may give as queries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Query, Vocabulary
from perception_contrast.vocabulary.query_inputs import vocabulary_of, with_named
from perception_contrast.vocabulary.vocabulary_file import load_vocabulary


def test_lines_are_parsed_as_everywhere_else() -> None:
    given = vocabulary_of(
        ["red mug", "seat: a sofa; a chair; !stool", Query("lamp", threshold=0.5)], ["wall"]
    )
    assert given.queries == (
        Query("red mug"),
        Query("seat", ("a sofa", "a chair"), negatives=("stool",)),
        Query("lamp", threshold=0.5),
    )
    assert given.distractors == ("wall",)
    assert given.ids == {"red mug": 1, "seat": 2, "lamp": 3}


def test_a_string_is_the_name_of_a_vocabulary() -> None:
    assert vocabulary_of("household").queries == load_vocabulary("household").queries
    with pytest.raises(QueryError, match=r"give a list: \['red_mug'\]"):
        vocabulary_of("red_mug")


def test_a_vocabulary_keeps_its_ids_and_gets_those_that_it_lacks() -> None:
    before = Vocabulary.of(["mug", "chair"]).with_queries([Query("chair")], ["wall"])
    given = vocabulary_of(before, ["floor"])
    assert (given.ids["chair"], given.distractors) == (2, ("wall", "floor"))
    assert vocabulary_of(Vocabulary((Query("chair"),))).ids == {"chair": 1}


def test_nothing_is_an_empty_vocabulary() -> None:
    assert vocabulary_of(None).queries == ()


def test_a_query_takes_the_place_of_a_named_vocabularys_own() -> None:
    named = load_vocabulary("household")
    label = named.queries[0].label
    both = with_named("household", [Query(label, ("its other name",))], ["draught"])
    assert [q.phrases for q in both.queries if q.label == label] == [("its other name",)]
    assert len(both.queries) == len(named.queries) and both.distractors[-1] == "draught"


@pytest.mark.parametrize("queries", [["mug", "mug"], [": a phrase"], [Query("mug", threshold=2.0)]])
def test_what_is_no_query_is_refused(queries: list) -> None:
    with pytest.raises(QueryError):
        vocabulary_of(queries)


def test_the_path_of_a_vocabulary_is_its_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("labels: [mug, chair]\n", encoding="utf-8")
    assert [query.label for query in vocabulary_of(file).queries] == ["mug", "chair"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Vocabulary.of("mug"),
        lambda: Vocabulary.of(["mug"], "wall"),
        lambda: vocabulary_of(["mug"], "wall"),
        lambda: vocabulary_of([Query("mug", "cup")]),  # type: ignore[arg-type]
        lambda: vocabulary_of([Query("mug", negatives="cup")]),  # type: ignore[arg-type]
        lambda: vocabulary_of({"mug": ["a red mug"]}),
    ],
)
def test_letters_of_a_string_and_keys_of_a_mapping_are_not_taken_as_texts(ask: Callable[[], object]) -> None:
    with pytest.raises(QueryError, match="stands in a list"):
        ask()


def test_what_is_no_text_is_named() -> None:
    with pytest.raises(QueryError, match="query 3 is a int; give a line of text or a Query"):
        vocabulary_of([3])  # type: ignore[list-item]
    with pytest.raises(QueryError, match="a phrase of 'mug' is 3, a int; give text"):
        vocabulary_of([Query("mug", (3,))])  # type: ignore[arg-type]
