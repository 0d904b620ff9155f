"""A vocabulary survives as bytes, whole or not at all; a node's memory of it. No ROS needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import QueryError
from perception_contrast.core.vocabulary import Exemplar, Query, Vocabulary, of_space
from perception_contrast.vocabulary.vocabulary_state import from_bytes, to_bytes
from perception_contrast.vocabulary.vocabulary_store import (
    AFTER_CRASH,
    ALWAYS,
    NEVER,
    VocabularyStore,
    state_file,
)

PARAMETERS = {"vocabulary": "", "queries": ["mug"], "distractors": [""]}


def unit(*values: float) -> np.ndarray:
    return np.array(values, np.float32) / np.float32(np.linalg.norm(values))


def full() -> Vocabulary:
    shown = Exemplar(unit(1, 2, 2), "dino@1", unit(0, 0, 1), np.eye(3, dtype="f4"), np.ones((0, 3), "f4"))
    queries = [
        Query("红色杯子", ("a red mug", "a cup"), threshold=0.4, negatives=("bowl",)),
        Query("my keys", exemplars=(shown, Exemplar(unit(0, 1, 0), "dino@1"))),
    ]
    return Vocabulary(ids={"gone": 1}).with_queries(queries, ["wall"])


def same(one: Vocabulary, other: Vocabulary) -> bool:
    """Exact, arrays too."""
    assert (one.distractors, one.version, one.ids) == (other.distractors, other.version, other.ids)
    for a, b in zip(one.queries, other.queries, strict=True):
        assert (a.label, a.phrases, a.negatives, a.threshold) == (
            b.label,
            b.phrases,
            b.negatives,
            b.threshold,
        )
        for x, y in zip(a.exemplars, b.exemplars, strict=True):
            assert x.space == y.space
            for part in ("vector", "centre", "parts", "context"):
                np.testing.assert_array_equal(getattr(x, part), getattr(y, part))
    return True


def test_everything_of_a_vocabulary_comes_back() -> None:
    back, note = from_bytes(to_bytes(full(), {"asking": "x"}))
    assert same(back, full()) and note == {"asking": "x"}
    assert back.with_queries([Query("new"), Query("gone")]).ids["gone"] == 1


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4000), st.integers(0, 255), st.booleans())
def test_a_damaged_file_is_refused_or_says_the_same(place: int, value: int, cut: bool) -> None:
    data = bytearray(to_bytes(full(), {}))
    place %= len(data)
    broken = bytes(data[:place]) if cut else bytes(data[:place]) + bytes([value]) + bytes(data[place + 1 :])
    try:
        back, _ = from_bytes(broken)
    except QueryError:
        return
    # A changed letter or number cannot be told from another vocabulary; one that is read is a whole one.
    assert back.with_queries(back.queries).version == back.version + 1


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"no such thing" * 100])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(QueryError, match="not a stored vocabulary"):
        from_bytes(data)


def test_exemplars_of_another_space_are_left_out_and_named() -> None:
    mixed = full().with_exemplar("红色杯子", Exemplar(unit(1, 0), "clip@2"))
    kept, lines = of_space(mixed, "clip@2")
    assert [query.label for query in kept.queries] == ["红色杯子"] and len(lines) == 1
    assert "my keys" in lines[0] and "show it again" in lines[0]
    assert kept.ids == mixed.ids and kept.version > mixed.version
    assert of_space(mixed, "clip@2")[0].queries[0].exemplars[0].space == "clip@2"
    unchanged, none = of_space(full(), "dino@1")
    assert none == () and unchanged.version == full().version


def test_negative_exemplars_are_kept_and_left_out_with_their_space() -> None:
    asked = full().with_negative_exemplar("my keys", Exemplar(unit(0, 1), "dino@1", direction=unit(1, 1)))
    again, _ = from_bytes(to_bytes(asked, {}))
    kept = next(query for query in again.queries if query.label == "my keys").negative_exemplars
    np.testing.assert_allclose(kept[0].vector, unit(0, 1))
    np.testing.assert_allclose(kept[0].direction, unit(1, 1))
    other, lines = of_space(asked, "clip@2")
    assert not any(query.negative_exemplars for query in other.queries)
    assert any("1 negative exemplars of 'my keys'" in line for line in lines)
    with pytest.raises(QueryError, match="no query is called 'door'"):
        full().with_negative_exemplar("door", Exemplar(unit(0, 1), "dino@1"))


def memory(path: Path, when: str = AFTER_CRASH) -> tuple[VocabularyStore, list[str]]:
    said: list[str] = []
    return VocabularyStore(path, when, said.append), said


def test_a_node_that_was_killed_finds_its_vocabulary_and_one_that_ended_does_not(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    killed, _ = memory(path)
    killed.save(full(), PARAMETERS)
    again, said = memory(path)
    assert same(again.load(PARAMETERS), full()) and said == []
    # Whoever starts it with other parameters wants those.
    assert again.load({**PARAMETERS, "queries": ["cat"]}) is None
    again.save(full(), PARAMETERS)
    again.close()
    assert memory(path)[0].load(PARAMETERS) is None


@pytest.mark.parametrize(("when", "there"), [(ALWAYS, True), (AFTER_CRASH, False), (NEVER, False)])
def test_what_a_clean_end_leaves(tmp_path: Path, when: str, there: bool) -> None:
    kept, _ = memory(tmp_path / "state", when)
    kept.save(full(), PARAMETERS)
    assert kept.load(PARAMETERS) is not None
    kept.close()
    assert (tmp_path / "state").exists() is there


def test_a_damaged_state_is_refused_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"torn")
    kept, said = memory(path)
    assert kept.load(PARAMETERS) is None
    assert len(said) == 1 and str(path) in said[0] and "remove it" in said[0]
    kept.save(full(), PARAMETERS)
    kept.close()
    assert path.read_bytes() == b"torn"
    path.unlink()
    kept.save(full(), PARAMETERS)
    assert same(memory(path)[0].load(PARAMETERS), full())


def test_a_disk_that_cannot_be_written_is_told_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    kept, said = memory(tmp_path / "file" / "state")
    kept.save(full(), PARAMETERS)
    assert "cannot be kept" in said[0]
    assert same(kept.load(PARAMETERS), full())


def test_numbers_of_labels_last_for_the_life_of_a_node(tmp_path: Path) -> None:
    kept, _ = memory(tmp_path / "state", NEVER)
    assert kept.label_ids().ids == {}
    kept.save(full(), PARAMETERS)
    assert kept.label_ids().ids == full().ids and kept.label_ids().queries == ()


def test_each_node_of_each_domain_has_a_file_of_its_own(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PERCEPTION_CONTRAST_STATE")
    monkeypatch.setenv("PERCEPTION_CONTRAST_CACHE", str(tmp_path))
    names = ["/perception_node", "/left/perception_node", "/left_perception_node"]
    files = {state_file(name, domain) for name in names for domain in (0, 1)}
    assert len(files) == 6 and all(file.is_relative_to(tmp_path / "state") for file in files)
    monkeypatch.setenv("PERCEPTION_CONTRAST_STATE", str(tmp_path / "elsewhere"))
    assert state_file("/node", 0).is_relative_to(tmp_path / "elsewhere")
