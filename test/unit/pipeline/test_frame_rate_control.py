"""Synthetic machines under a changing load: what the control of the frame rate gives up and gives back."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from perception_contrast.pipeline.frame_rate_control import (
    LEVELS,
    THINNED,
    FrameCost,
    FrameLimits,
    FrameRateControl,
)


@dataclass
class Machine:
    """Milliseconds of a frame at full quality; ``slow`` is the load by other processes, 1 for none."""

    encoding: float = 60.0
    fixed: float = 15.0
    drawing: float = 0.0
    rescoring: float = 80.0
    noise: float = 0.05
    slow: float = 1.0
    torch_frames: int = 0

    def __post_init__(self) -> None:
        self._rng, self._frame = np.random.default_rng(0), 0
        self._seen: dict[float, int] = {}

    def cost(self, limits: FrameLimits) -> FrameCost:
        # A new size is served by a slower engine until its own is built.
        self._seen[limits.scale] = self._seen.get(limits.scale, 0) + 1
        engine = 1.5 if limits.scale < 1 and self._seen[limits.scale] <= self.torch_frames else 1.0
        factor = self.slow * max(self._rng.normal(1.0, self.noise), 0.5)
        drawn = self.drawing * factor * (self._frame % limits.draw_every == 0)
        self._frame += 1
        encoding = self.encoding * engine * factor * limits.scale**2
        rescoring = min(self.rescoring * factor, limits.rescoring_ms)
        total = self.fixed * factor + encoding + rescoring + drawn
        return FrameCost(total, encoding, rescoring, drawn)


@dataclass
class Run:
    levels: list[int]
    costs: list[FrameCost]

    @property
    def switches(self) -> int:
        return sum(a != b for a, b in zip(self.levels, self.levels[1:], strict=False))

    def held(self, hz: float, after: int = 0) -> float:
        """Share of the frames within their period."""
        return float(np.mean([one.total <= 1e3 / hz for one in self.costs[after:]]))


def run(
    control: FrameRateControl,
    machine: Machine,
    frames: int,
    hz: float = 10.0,
    load: Callable[[int], float] = lambda n: 1.0,
) -> Run:
    done = Run([], [])
    for number in range(frames):
        machine.slow = load(number)
        cost = machine.cost(control.limits)
        control.add(cost, hz)
        done.levels.append(control.level)
        done.costs.append(cost)
    return done


def test_what_fits_is_left_as_it_is() -> None:
    control = FrameRateControl()
    done = run(control, Machine(encoding=30.0, rescoring=20.0), 300)
    assert done.switches == 0 and done.held(10.0) == 1.0
    assert np.mean([one.rescoring for one in done.costs[20:]]) > 19.0


def test_rescoring_gets_what_the_rest_leaves() -> None:
    control = FrameRateControl()
    done = run(control, Machine(), 200)  # 75 ms of 100 without rescoring, which would take 80
    assert set(done.levels) == {0} and done.held(10.0, 10) >= 0.95
    assert 5.0 < np.mean([one.rescoring for one in done.costs[20:]]) < 20.0


@pytest.mark.parametrize("slow", [1.3, 1.6, 2.0, 3.0])
def test_a_load_is_met_within_some_frames_and_quality_comes_back_after_it(slow: float) -> None:
    control, machine = FrameRateControl(), Machine()
    done = run(control, machine, 900, load=lambda n: slow if 200 <= n < 500 else 1.0)
    assert done.levels[199] == 0
    assert max(done.levels[200:500]) >= 1
    assert np.mean([one.total <= 100.0 for one in done.costs[220:500]]) >= 0.95
    # Four levels up at 15 frames each, and what the judging takes.
    assert done.levels[620] == 0 and set(done.levels[620:]) == {0}
    assert np.mean([one.rescoring for one in done.costs[650:]]) > 5.0


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.2])
@pytest.mark.parametrize("encoding", [20.0, 55.0, 70.0, 78.0, 90.0, 110.0, 140.0, 200.0, 300.0])
def test_a_constant_load_settles(encoding: float, noise: float) -> None:
    done = run(FrameRateControl(), Machine(encoding=encoding, noise=noise, drawing=10.0), 4000)
    late = Run(done.levels[2000:], done.costs[2000:])
    assert done.switches <= 24 and late.switches <= 4
    if encoding <= 200.0:
        assert late.held(10.0) >= (0.95 if noise < 0.15 else 0.85)


def test_a_single_slow_frame_changes_nothing() -> None:
    done = run(FrameRateControl(), Machine(), 300, load=lambda n: 6.0 if n % 50 == 25 else 1.0)
    assert done.switches == 0


def test_sizes_that_torch_serves_at_first_do_not_push_it_down_for_good() -> None:
    control, machine = FrameRateControl(), Machine(encoding=80.0, torch_frames=40)
    done = run(control, machine, 1200)
    assert done.levels[-1] == 1 and done.held(10.0, 300) >= 0.95


def test_a_slower_camera_leaves_more_time() -> None:
    control = FrameRateControl()
    run(control, Machine(encoding=120.0), 200, hz=10.0)
    assert control.level > 0
    run(control, Machine(encoding=120.0), 300, hz=5.0)
    assert control.level == 0


def test_drawings_are_thinned_last_and_say_so() -> None:
    control = FrameRateControl()
    run(control, Machine(encoding=40.0, fixed=60.0, drawing=60.0), 300)
    assert control.level == len(LEVELS) - 1 and control.limits.draw_every == THINNED
    assert control.holds and control.limits.scale == 0.5


def test_what_cannot_be_held_is_told() -> None:
    control = FrameRateControl()
    run(control, Machine(fixed=200.0), 100)
    assert control.exhausted and control.load > 1.0 and control.limits.rescoring_ms == 0.0
    assert control.level == len(LEVELS) - 1


def test_the_first_frames_are_careful() -> None:
    assert FrameRateControl().limits == FrameLimits(1.0, 0.0, 1) and FrameRateControl().holds
    assert math.isfinite(FrameRateControl().load)
