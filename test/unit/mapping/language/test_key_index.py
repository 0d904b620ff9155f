"""KeyIndex: a dict's answers, however keys come and go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.mapping.language import key_index
from perception_contrast.mapping.language.key_index import KeyIndex

KEYS = st.lists(st.integers(-20, 20), unique=True, max_size=12)


def asked(index: KeyIndex, keys: list[int]) -> list[int]:
    return index.find(np.array(keys, np.int64)).tolist()


@settings(deadline=None, max_examples=40)
@given(steps=st.lists(st.tuples(st.booleans(), KEYS), max_size=30))
def test_it_answers_as_a_dict_does(steps: list[tuple[bool, list[int]]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_index, "MOST_KEYS", 4)
        index, model, row = KeyIndex(), dict[int, int](), 0
        for adds, keys in steps:
            if adds:
                new = [key for key in keys if key not in model]
                rows = list(range(row, row + len(new)))
                row += len(new)
                index.add(np.array(new, np.int64), np.array(rows, np.int64))
                model |= dict(zip(new, rows, strict=True))
            else:
                index.remove(np.array(keys, np.int64))
                for key in keys:
                    model.pop(key, None)
            assert asked(index, list(range(-21, 22))) == [model.get(key, -1) for key in range(-21, 22)]


def test_removed_keys_take_no_memory_for_ever() -> None:
    index = KeyIndex()
    for start in range(0, 100_000, 1_000):
        keys = np.arange(start, start + 1_000)
        index.add(keys, keys)
        index.remove(keys[:-10])
    assert index.bytes <= key_index.ENTRY_BYTES * 1_000 * key_index.DEAD_SHARE / (key_index.DEAD_SHARE - 1)
    assert asked(index, [999, 989, 99_990]) == [999, -1, 99_990]
