"""Memory over configurations: what leaks is found beside what a kind of model takes."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("rclpy")

from perception_contrast.bench.soak import configuration_run
from perception_contrast.bench.soak.memory_curve import (
    SIZE,
    MemoryReading,
    draw_curve,
    slope,
    write_csv,
    write_curve,
)
from perception_contrast.bench.soak.soak_graph import SoakError

pytestmark = pytest.mark.ros


KINDS = 6


def readings(
    leak_mb: float = 0.0, rounds: int = 3, noise_mb: float = 8.0, in_use_noise_mb: float = 0.1
) -> list[MemoryReading]:
    """Two models on three engines, which take very different memory; each configuration adds ``leak_mb``.

    The last engine stands for one that is chosen anew each time, between two that take different memory.
    """
    rng = np.random.default_rng(3)
    made = []
    for number in range(-KINDS, rounds * KINDS):
        model, engine, chosen = number % 2, number % 3, int(rng.integers(2))
        memory = 700 + 40 * engine + 90 * model + leak_mb * number
        serving = f"engine {engine}"
        if engine == 2:
            memory, serving = memory + 6 * chosen, f"chosen {chosen}"
        resident, in_use = memory + rng.normal(0, noise_mb), memory - 500 + rng.normal(0, in_use_noise_mb)
        blocks = 2_500_000 + 4000 * model + int(rng.integers(-100, 100))
        made.append(
            MemoryReading(
                number, f"model {model}", f"engine {engine}", serving, "", resident, in_use, blocks, 18, 1.0
            )
        )
    return made


def stepped(made: list[MemoryReading], at: int, step_mb: float) -> list[MemoryReading]:
    """From configuration ``at`` on all take more."""
    steps = [step_mb * (one.number >= at) for one in made]
    return [
        replace(one, resident_mb=one.resident_mb + step, allocated_mb=one.allocated_mb + step)
        for one, step in zip(made, steps, strict=True)
    ]


@pytest.mark.parametrize("field", ["resident_mb", "allocated_mb"])
@pytest.mark.parametrize("leak", [-0.5, 0.0, 2.0, 12.0])
@pytest.mark.parametrize("with_a_step", [False, True])
def test_the_slope_is_what_a_configuration_adds_whatever_kinds_take(
    leak: float, field: str, with_a_step: bool
) -> None:
    made = readings(leak, noise_mb=0.0, in_use_noise_mb=0.0)
    exact = stepped(made, 8, 3.7) if with_a_step else made
    assert slope(exact, field, stepped=True).value == pytest.approx(leak, abs=1e-9)
    if not with_a_step:
        assert slope(exact, field).value == pytest.approx(leak, abs=1e-9)


def test_slope_and_error_of_one_kind_are_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    made = [replace(one, model="one", engine="one", serving="one") for one in readings(0.7)]
    theirs = stats.linregress([one.number for one in made], [one.resident_mb for one in made])
    ours = slope(made, "resident_mb")
    assert (ours.value, ours.error) == pytest.approx((theirs.slope, theirs.stderr))


def test_a_plateau_passes_whatever_is_chosen_and_with_a_table_that_doubles() -> None:
    for rounds, noise in ((3, 4.0), (3, 8.0), (5, 8.0), (10, 25.0)):
        plateau = readings(rounds=rounds, noise_mb=noise)
        configuration_run.check_growth(plateau)
        for at in range(KINDS * rounds):
            configuration_run.check_growth(stepped(plateau, at, 3.7))


@pytest.mark.parametrize(("leak", "rounds"), [(0.3, 3), (0.1, 10), (12.0, 3)])
def test_a_leak_is_found_however_memory_moves_beside_it(leak: float, rounds: int) -> None:
    """A frame that is kept is 0.9 MB, the smallest of the models 7 MB."""
    made = readings(leak, rounds)
    for at in (0, 8, 15):
        with pytest.raises(SoakError, match=r"memory grows, .*allocated_mb"):
            configuration_run.check_growth(stepped(made, at, 3.7))


def test_what_one_kind_alone_leaves_behind_is_found() -> None:
    """7 MB at each sixth configuration."""
    made = readings()
    left = [7.0 * ((one.number + KINDS) // KINDS) for one in made]
    leaking = [replace(one, allocated_mb=one.allocated_mb + mb) for one, mb in zip(made, left, strict=True)]
    with pytest.raises(SoakError, match="memory grows, allocated_mb"):
        configuration_run.check_growth(leaking)


def test_what_is_in_no_account_of_mallocs_is_found_too() -> None:
    """Objects of Python's by their number: a pipeline has thousands; maps by what is resident."""
    made = readings()
    leaking = [replace(one, python_blocks=one.python_blocks + 500 * one.number) for one in made]
    with pytest.raises(SoakError, match="memory grows, python_blocks"):
        configuration_run.check_growth(leaking)
    leaking = [replace(one, resident_mb=one.resident_mb + 6.0 * one.number) for one in made]
    with pytest.raises(SoakError, match="memory grows, resident_mb"):
        configuration_run.check_growth(leaking)


def test_what_fragments_take_at_first_is_no_growth() -> None:
    """As on a busy machine: 45 MB in the first round and a half, and nothing after it."""
    made = readings(noise_mb=4.0)
    settling = [replace(one, resident_mb=one.resident_mb + 5.0 * min(one.number, 9)) for one in made]
    configuration_run.check_growth(settling)


def test_what_caches_take_before_the_first_that_counts_is_no_growth() -> None:
    filling = [replace(one, resident_mb=300.0) if one.number < 0 else one for one in readings()]
    configuration_run.check_growth(filling)


def test_a_slope_needs_two_readings_of_a_kind() -> None:
    with pytest.raises(ValueError, match="two readings"):
        slope(readings(rounds=0), "resident_mb")
    too_few = configuration_run.ConfigurationOptions({}, configurations=29)
    with pytest.raises(SoakError, match="ask for 30 or more"):
        configuration_run.run_configurations(too_few)


def test_the_table_and_the_curve_hold_every_reading(tmp_path: Path) -> None:
    made = readings(1.0)
    write_csv(made, tmp_path / "memory.csv")
    rows = list(csv.DictReader((tmp_path / "memory.csv").open()))
    assert [float(row["resident_mb"]) for row in rows] == [one.resident_mb for one in made]
    write_curve(made, tmp_path / "memory.png", "a title")
    with Image.open(tmp_path / "memory.png") as image:
        assert image.size == SIZE
    flat, rising = (np.asarray(draw_curve(readings(leak), "")).astype(int) for leak in (0.0, 12.0))
    assert np.abs(flat - rising).max() > 100
