"""Which words are true, false or unknown of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.photographs.base import PhotoRegion, SetFacts, TruthTable
from perception_contrast_training.photographs.naming import Naming, Truth, load_naming

TRUE, FALSE, UNKNOWN = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


@pytest.fixture(scope="module")
def naming() -> Naming:
    return load_naming()


@pytest.mark.parametrize(
    ("label", "word", "truth"),
    [
        ("sofa", "couch", TRUE),
        ("armchair", "chair", TRUE),
        ("armchair", "furniture", TRUE),
        ("mug", "cup", TRUE),
        ("cup", "mug", UNKNOWN),  # a cup may be a mug
        ("furniture", "desk", UNKNOWN),
        ("sofa", "chair", UNKNOWN),  # sets draw the line elsewhere
        ("toy", "dog", UNKNOWN),
        ("person", "woman", UNKNOWN),
        ("person", "dog", FALSE),
        ("table", "mug", FALSE),
        ("beef tomato", "fruit", TRUE),  # a name of no line is what its last words name
        ("beef tomato", "banana", FALSE),
        ("sofa", "gizmo", UNKNOWN),  # a word of no line
        ("gizmo", "sofa", UNKNOWN),  # a label of no line
        ("gizmo", "gizmo", TRUE),
    ],
)
def test_what_is_known_of_a_word(naming: Naming, label: str, word: str, truth: Truth) -> None:
    assert naming.truth(label, word) == truth


def test_names_alike_are_open_in_both_directions_and_no_name_denies_itself(naming: Naming) -> None:
    for name in naming.names:
        assert naming.truth(name, name) == TRUE
        for word in naming.true_words(name):
            assert naming.truth(name, word) == TRUE, (name, word)
    for one, other in (("rug", "mat"), ("desk", "table"), ("monitor", "television"), ("bowl", "pot")):
        assert naming.truth(one, other) == naming.truth(other, one) == UNKNOWN


@pytest.mark.parametrize(
    ("label", "name"),
    [("Sofas", "sofa"), ("couch", "sofa"), ("shelves", "shelf"), ("coffee_table", "coffee table"),
     ("drinking glasses", "drinking glass"), ("glass", "drinking glass"), ("widget", "widget")],
)  # fmt: skip
def test_labels_have_one_name(naming: Naming, label: str, name: str) -> None:
    assert naming.canonical(label) == name


def test_a_file_of_ones_own_adds_names_and_replaces_lines(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("gripper: {also: [end effector], is: [tool]}\nsofa: {also: [divan]}\n")
    naming = load_naming([mine])
    assert naming.truth("gripper", "tool") == TRUE and naming.truth("gripper", "sofa") == FALSE
    assert naming.truth("sofa", "divan") == TRUE and naming.canonical("couch") == "couch"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- sofa", "no mapping"),
        ("sofa: {colour: red}", "fields"),
        ("sofa: {also: [no]}", "quotes"),
        ("a: [", "read"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(text)
    with pytest.raises(PerceptionError, match=told) as caught:
        load_naming([path])
    assert "names.yaml" in str(caught.value)


def table_of(naming: Naming, names: set[str], **facts: bool) -> TruthTable:
    return TruthTable(naming, SetFacts("set", "free", frozenset(names), **facts))


def test_a_class_that_a_set_does_not_name_is_unknown_there(naming: Naming) -> None:
    table = table_of(naming, {"dining table", "person"}, dense=False)
    # Plates lie within COCO's table, and nobody labelled them.
    assert table.of_region("dining table", "plate") == UNKNOWN
    assert table.of_region("dining table", "person") == FALSE
    assert table.of_rest("plate") == UNKNOWN and table.of_rest("person") == FALSE


def test_a_wider_word_is_the_sets_own_only_if_the_set_labels_all_of_it(naming: Naming) -> None:
    assert table_of(naming, {"person"}).of_rest("human") == FALSE
    assert table_of(naming, {"chair"}).of_rest("seat") == UNKNOWN


def test_unlabelled_pixels_do_not_deny_what_the_photograph_shows(naming: Naming) -> None:
    table = table_of(naming, {"chair", "lamp"})
    rows = table.of_regions([PhotoRegion("chair")], ["chair", "lamp", "cloud"])
    assert rows.tolist() == [[UNKNOWN, FALSE, UNKNOWN], [TRUE, FALSE, UNKNOWN]]
