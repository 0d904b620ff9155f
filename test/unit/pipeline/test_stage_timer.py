"""Milliseconds by stage."""

from __future__ import annotations

import time

import pytest

from perception_contrast.pipeline.stage_timer import StageTimer


def test_a_stage_within_another_counts_for_itself_alone() -> None:
    timer = StageTimer()
    began = time.perf_counter()
    with timer.stage("outer"), timer.stage("inner"):
        time.sleep(0.05)
    passed = 1e3 * (time.perf_counter() - began)
    assert timer.timings["inner"] >= 50 > timer.timings["outer"]
    assert sum(timer.timings.values()) <= passed


def test_a_stage_that_comes_again_or_fails_adds_its_time() -> None:
    timer = StageTimer()
    with timer.stage("work"):
        time.sleep(0.01)
    with pytest.raises(ValueError), timer.stage("work"):
        time.sleep(0.01)
        raise ValueError
    assert timer.timings["work"] >= 20


def test_a_timer_that_goes_on_leaves_the_one_before_as_it_was() -> None:
    before = StageTimer({"encode": 3.0})
    after = StageTimer(before.timings)
    with after.stage("search"):
        pass
    assert set(after.timings) == {"encode", "search"} and before.timings == {"encode": 3.0}
