"""Usable depth, and depth whose unit is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from perception_contrast.mapping.geometry.depth_checks import DepthScaleCheck, usable


def room(distance: float) -> np.ndarray:
    depth = np.random.default_rng(1).uniform(0.6, 1.4, (48, 64)).astype(np.float32) * np.float32(distance)
    depth[:20, :20] = np.nan
    return depth


def test_usable_depth_is_measured_and_in_range() -> None:
    depth = np.array([np.nan, np.inf, -np.inf, -1.0, 0.0, 0.3, 0.31, 4.0, 4.01], np.float32)
    assert usable(depth, 0.31, 4.0).tolist() == [False] * 6 + [True, True, False]
    assert not usable(depth, 0.0, 4.0)[4]


@pytest.mark.parametrize(("factor", "kind"), [(1000.0, "large"), (0.001, "small")])
@pytest.mark.parametrize("distance", [0.4, 2.0, 8.0])
def test_a_wrong_unit_is_told_once_from_the_first_frame_on(factor: float, kind: str, distance: float) -> None:
    check = DepthScaleCheck()
    verdicts = [check.check(room(distance * factor)) for _ in range(3)]
    assert not any(one.is_usable for one in verdicts)
    assert [one.is_new for one in verdicts] == [True, False, False]
    assert f"too {kind}" in verdicts[0].problem and "REP 118" in verdicts[0].problem
    assert check.check(room(distance)).is_usable
    assert check.check(room(distance * factor)).is_new


def test_what_was_measured_before_and_the_height_tell_where_the_range_does_not() -> None:
    check = DepthScaleCheck()
    assert check.check(room(60.0)).is_usable
    assert not check.check(room(0.06)).is_usable
    assert check.check(room(40.0)).is_usable  # the refused frame is no evidence
    assert DepthScaleCheck().check(room(0.06)).is_usable
    assert not DepthScaleCheck().check(room(0.06), camera_height=20.0).is_usable


def test_coming_near_and_leaving_is_no_fault_and_no_depth_no_evidence() -> None:
    check = DepthScaleCheck()
    for distance in (0.2, 12.0, 0.2, 20.0):
        assert check.check(room(distance), camera_height=0.4).is_usable
    assert check.check(np.full((48, 64), np.nan, np.float32)).is_usable
    assert check.check(np.zeros((48, 64), np.float32)).is_usable
