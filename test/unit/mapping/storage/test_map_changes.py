"""Changes applied to a state give what a plain dictionary gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import map_examples
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.mapping.storage.map_changes import applied, from_record, to_record, upserted
from perception_contrast.mapping.storage.map_state import Arrays, MapChanges, MapError

KEYS = st.sets(st.tuples(*[st.integers(-2, 2)] * 3), max_size=6)
TABLES = st.lists(st.tuples(KEYS, KEYS, st.integers(0, 1000)), min_size=1, max_size=5)


def table(keys: Any, removed: Any, seed: int) -> Arrays:
    gone = np.array(sorted(removed), np.int32).reshape(-1, 3)
    return map_examples.voxel_table(sorted(keys), seed) | {"removed": gone}


@settings(deadline=None, max_examples=50)
@given(TABLES)
def test_the_last_row_of_each_key_is_kept(tables: list[tuple[set[Any], set[Any], int]]) -> None:
    expected: dict[tuple[int, ...], tuple[float, ...]] = {}
    parts = [table(*one) for one in tables]
    for part in parts:
        for key in map(tuple, part["removed"].tolist()):
            expected.pop(key, None)
        for key, vector in zip(map(tuple, part["keys"].tolist()), part["vectors"].tolist(), strict=True):
            expected[key] = tuple(vector)
    result = upserted(parts)
    rows = dict(zip(map(tuple, result["keys"].tolist()), map(tuple, result["vectors"].tolist()), strict=True))
    assert rows == expected
    assert len(result["keys"]) == len(expected)
    assert "removed" not in result


def test_keys_far_apart_stay_apart() -> None:
    far = [(2**31 - 1, -(2**31), 0), (0, 0, 0), (-(2**31), 2**31 - 1, 5)]
    result = upserted([map_examples.voxel_table(far, 1), map_examples.voxel_table(far[:1], 2)])
    assert len(result["keys"]) == 3


def test_all_kinds_of_changes_outlive_a_record() -> None:
    state = map_examples.map_state(objects=3)
    changes = MapChanges(
        voxels=map_examples.voxel_table([(0, 1, 2), (90, 90, 90)], 7)
        | {"removed": np.array([[3, 4, 5]], np.int32)},
        objects=[map_examples.object_record(2, "bowl"), map_examples.object_record(9, "tray")],
        removed_objects=[3],
        replaced={"far_rays": map_examples.voxel_table([(5, 5, 5)])},
        facts={"next_object": 10},
    )
    after = applied(state, [from_record(to_record(changes))])
    assert [(one["id"], one["label"]) for one in after.objects] == [(1, "mug"), (2, "bowl"), (9, "tray")]
    assert {tuple(key) for key in after.voxels["keys"].tolist()} == {
        (0, 1, 2), (6, 7, 8), (9, 10, 11), (12, 13, 14), (90, 90, 90)
    }  # fmt: skip
    assert after.far_rays["keys"].tolist() == [[5, 5, 5]]
    assert after.facts == {**state.facts, "next_object": 10}
    map_examples.assert_same_state(state, map_examples.map_state(objects=3))


def test_replaced_voxels_forget_what_came_before() -> None:
    state = map_examples.map_state()
    changes = [
        MapChanges(voxels=map_examples.voxel_table([(1, 1, 1)])),
        MapChanges(replaced={"voxels": map_examples.voxel_table([(2, 2, 2)])}),
        MapChanges(voxels=map_examples.voxel_table([(3, 3, 3)])),
    ]
    assert applied(state, changes).voxels["keys"].tolist() == [[2, 2, 2], [3, 3, 3]]


def test_voxels_of_other_channels_are_refused() -> None:
    state = map_examples.map_state()
    other = map_examples.voxel_table([(7, 7, 7)])
    changes = MapChanges(voxels=other | {"vectors": np.zeros((1, 3), np.float16)})
    with pytest.raises(MapError, match="do not fit those of the map"):
        applied(state, [changes])


def test_a_record_of_something_else_is_refused() -> None:
    from perception_contrast.mapping.storage.packed_values import pack

    for value in (b"nothing", pack([1, 2]), pack({"replaced": {"header": {}}}), pack({"what": 1})):
        with pytest.raises(MapError, match="no changes of a map"):
            from_record(value)


def test_nothing_changed_is_empty() -> None:
    removed = {"keys": np.empty((0, 3), np.int32), "removed": np.empty((0, 3), np.int32)}
    assert MapChanges(voxels=removed).is_empty
    assert not MapChanges(voxels=removed | {"removed": np.zeros((1, 3), np.int32)}).is_empty
    assert not replace(MapChanges(), facts={"next_object": 1}).is_empty
