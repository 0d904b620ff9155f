"""Voxel keys: floor of the division, and packing that comes back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.language.voxel_keys import (
    REACH,
    centres,
    pack,
    reachable,
    unpack,
    voxel_keys,
)

OFFSET = st.integers(-REACH, REACH - 1)


def test_a_point_below_zero_lies_in_the_voxel_below() -> None:
    keys = voxel_keys(np.array([[-0.01, 0.0, 0.06]]), 0.05)
    assert keys.tolist() == [[-1, 0, 1]]
    assert np.allclose(centres(keys, 0.05), [[-0.025, 0.025, 0.075]])


@settings(deadline=None, max_examples=40)
@given(
    offsets=st.lists(st.tuples(OFFSET, OFFSET, OFFSET), min_size=1, max_size=20),
    origin=st.tuples(*[st.integers(-(2**30), 2**30)] * 3),
)
def test_packing_comes_back_and_keeps_keys_apart(
    offsets: list[tuple[int, int, int]], origin: tuple[int, int, int]
) -> None:
    start = np.array(origin, np.int32)
    keys = np.array(offsets, np.int32) + start
    packed = pack(keys, start)
    assert np.array_equal(unpack(packed, start), keys)
    assert len(np.unique(packed)) == len(np.unique(keys, axis=0))


@pytest.mark.parametrize("point", [np.nan, np.inf, 1e12])
def test_points_that_no_whole_number_holds_are_refused(point: float) -> None:
    with pytest.raises(PerceptionError, match="poses"):
        voxel_keys(np.array([[0.0, point, 0.0]]), 0.05)


def test_a_key_out_of_reach_is_refused() -> None:
    origin, keys = np.zeros(3, np.int32), np.array([[0, REACH, 0], [0, -REACH, 0]], np.int32)
    assert reachable(keys, origin).tolist() == [False, True]
    with pytest.raises(PerceptionError, match="from the first one"):
        pack(keys, origin)
