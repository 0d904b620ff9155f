"""What the robot is asked for: what is refused, what stays, and labels' numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import (
    MAX_PHRASE_CHARACTERS,
    MAX_QUERIES,
    UNLABELLED,
    Exemplar,
    Query,
    Vocabulary,
    parse_queries,
    parse_query,
)
from perception_contrast.vocabulary.vocabulary_state import from_bytes, to_bytes

UNIT = np.array([0.6, 0.8], np.float32)


def test_a_label_is_its_own_phrase_unless_it_has_others_or_is_shown() -> None:
    assert Query("mug").texts() == ("mug",)
    assert Query("mug", ("red mug", "cup")).texts() == ("red mug", "cup")
    assert Query("mug", exemplars=(Exemplar(UNIT, "a@1"),)).texts() == ()


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=6), max_size=8))
@settings(max_examples=40, deadline=None)
def test_numbers_are_unique_and_never_change_hands(edits: list[list[str]]) -> None:
    vocabulary, numbers = Vocabulary(), {}
    for count, labels in enumerate(edits, start=1):
        vocabulary = vocabulary.with_queries(Query(label) for label in labels)
        assert vocabulary.version == count
        assert [query.label for query in vocabulary.queries] == labels
        for label in labels:
            assert numbers.setdefault(label, vocabulary.ids[label]) == vocabulary.ids[label]
    assert len(set(numbers.values())) == len(numbers)
    assert all(0 < number < UNLABELLED for number in numbers.values())


@pytest.mark.parametrize(
    ("queries", "words"),
    [
        ([Query(" \t")], "label is empty"),
        ([Query("mug", ("",))], "phrase of 'mug' is empty"),
        ([Query("mug"), Query(" mug ")], "'mug' is given more than once"),
        ([Query("mug", threshold=1.0)], "threshold 1.0"),
        ([Query("mug", threshold=float("nan"))], "threshold nan"),
        ([Query("x" * (MAX_PHRASE_CHARACTERS + 1))], "at most 512"),
        ([Query("bad \udcff byte")], "UTF-8"),
        ([Query("\u200b\u0301")], "label is empty"),
        ([Query("a\x07b")], "control character"),
        ([Query("caf\u00e9"), Query("cafe\u0301")], "more than once"),
        ([Query("mug", negatives=("",))], "negative of 'mug' is empty"),
        ([Query("mug", negatives=("mug",))], "as phrase and as negative"),
        ([Query("mug", ("cup",), negatives=("cup",))], "'cup' as phrase"),
        ([Query("mug", exemplars=(Exemplar(UNIT * np.float32(np.nan), "a@1"),))], "finite"),
        ([Query("mug", exemplars=(Exemplar(UNIT[None], "a@1"),))], "vector"),
        ([Query("mug", exemplars=(Exemplar(UNIT * 30, "a@1"),))], "unit"),
        ([Query(str(n)) for n in range(MAX_QUERIES + 1)], "at most 1024"),
    ],
)
def test_what_is_refused_says_why_in_one_line(queries: list[Query], words: str) -> None:
    with pytest.raises(QueryError, match=words) as caught:
        Vocabulary().with_queries(queries)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize(
    "label", ["☕", "кружка", "赤い マグカップ", "mug 👩‍🍳", "كوب أحمر", "红色杯子", "कप"]
)
def test_any_script_is_a_label(label: str) -> None:
    assert Vocabulary().with_queries([Query(label)]).ids == {label: 1}


def test_space_is_tidied_and_repeated_phrases_are_one() -> None:
    vocabulary = Vocabulary().with_queries([Query(" red \n mug ", ("a  mug", "a mug"))], [" wall", "wall "])
    assert vocabulary.queries[0] == Query("red mug", ("a mug",))
    assert vocabulary.distractors == ("wall",)


def test_as_many_as_are_allowed() -> None:
    vocabulary = Vocabulary().with_queries(Query(str(n)) for n in range(MAX_QUERIES))
    assert sorted(vocabulary.ids.values()) == list(range(1, MAX_QUERIES + 1))


def test_the_last_number_is_not_the_unlabelled_one() -> None:
    full = Vocabulary(ids={str(n): n + 1 for n in range(UNLABELLED - 2)})
    last = full.with_queries([Query("last")])
    assert last.ids["last"] == UNLABELLED - 1
    more = last.with_queries([Query("one more")])
    assert more.ids["one more"] == 1 and "0" not in more.ids


def test_a_shown_image_joins_the_words_that_were_searched_for() -> None:
    vocabulary = Vocabulary().with_queries([Query("mug", threshold=0.3), Query("bowl")], ["wall"])
    shown = vocabulary.with_exemplar("mug", Exemplar(UNIT, "a@1")).with_exemplar(
        "my key", Exemplar(UNIT, "a@1")
    )
    mug, bowl, key = shown.queries
    assert (mug.texts(), len(mug.exemplars), mug.threshold) == (("mug",), 1, 0.3)
    assert bowl == Query("bowl") and key.texts() == () and len(key.exemplars) == 1
    assert shown.distractors == ("wall",) and shown.version == 3
    again = shown.with_exemplar("my key", Exemplar(UNIT, "a@1"))
    assert again.queries[2].texts() == () and len(again.queries[2].exemplars) == 2


def test_queries_of_one_line() -> None:
    assert parse_query("mug") == Query("mug")
    assert parse_query(" red mug : a red mug; a crimson cup ;") == Query(
        "red mug", ("a red mug", "a crimson cup")
    )
    assert parse_query("mug: a mug; !bowl; ! plate") == Query("mug", ("a mug",), negatives=("bowl", "plate"))
    assert parse_queries(["", " ", "sofa"]) == (Query("sofa"),)
    with pytest.raises(QueryError, match="no label"):
        parse_query(": a thing")


def test_a_distractor_that_is_looked_for_is_dropped_and_told(caplog: pytest.LogCaptureFixture) -> None:
    queries = ["wall", "seat: a sofa; a chair"]
    vocabulary = Vocabulary.of(queries, ["floor", "Wall", "a chair", "ceiling"])
    assert vocabulary.distractors == ("floor", "ceiling")
    assert "Wall, a chair" in caplog.text
    shown = Vocabulary.of(["mug"], ["floor"]).with_queries([Query("mug"), Query("floor")], ["floor"])
    assert shown.distractors == ()


def test_mask_ids_that_are_all_in_use_are_given_again_and_survive_a_restart() -> None:
    used = {f"label {number}": number for number in range(1, UNLABELLED)}
    vocabulary = Vocabulary(ids=used).with_queries([Query("label 1"), Query("new"), Query("newer")])
    # "label 1" is looked for and keeps its id; the next ones lose theirs.
    assert [vocabulary.ids[label] for label in ("label 1", "new", "newer")] == [1, 2, 3]
    assert len(set(vocabulary.ids.values())) == len(vocabulary.ids) == UNLABELLED - 1
    restored, _ = from_bytes(to_bytes(vocabulary, {}))
    assert restored.ids == vocabulary.ids
    assert restored.with_queries([Query("newest")]).ids["newest"] == 1


def test_ids_with_gaps_are_never_given_twice() -> None:
    vocabulary = Vocabulary(ids={"mug": 2}).with_queries([Query("sofa"), Query("mug")])
    assert vocabulary.ids == {"mug": 2, "sofa": 3}
