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


def readings(leak_mb: float, count: int = 30, noise_mb: float = 4.0) -> list[MemoryReading]:
    """Two models on five engines, which take very different memory; each configuration adds ``leak_mb``."""
    rng = np.random.default_rng(3)
    made = []
    for number in range(-10, count):
        kind = number % 10
        memory = 1300 + 40 * (kind % 5) + 90 * (kind % 2) + leak_mb * number + rng.normal(0, noise_mb)
        in_use = 200 + 10 * (kind % 2) + leak_mb * number
        made.append(
            MemoryReading(number, f"model {kind % 2}", f"engine {kind % 5}", "", memory, in_use, 18, 1.0)
        )
    return made


@pytest.mark.parametrize("field", ["resident_mb", "allocated_mb"])
@pytest.mark.parametrize("leak", [-0.5, 0.0, 2.0, 12.0])
def test_the_slope_is_what_a_configuration_adds_whatever_kinds_take(leak: float, field: str) -> None:
    exact = readings(leak, noise_mb=0.0)
    assert slope(exact, field) == pytest.approx(leak, abs=1e-9)
    # As NumPy fits a line to each kind's readings by itself, where all are equally many.
    kinds = [exact[start::10] for start in range(10)]
    fits = [
        np.polyfit([one.number for one in kind], [getattr(one, field) for one in kind], 1)[0]
        for kind in kinds
    ]
    assert slope(exact, field) == pytest.approx(float(np.mean(fits)), abs=1e-9)


def test_a_plateau_passes_and_a_leak_does_not() -> None:
    # What fragments move from one reading to the next, as seen on a node.
    configuration_run.check_growth(readings(0.0, noise_mb=25.0))
    for leak in (0.5, 12.0):
        with pytest.raises(SoakError, match="memory grows: resident_mb"):
            configuration_run.check_growth(readings(leak, noise_mb=25.0))


def test_a_leak_outside_of_malloc_is_found_too() -> None:
    """As of Python's objects, or of memory that was mapped."""
    made = [replace(one, allocated_mb=200.0) for one in readings(5.0)]
    with pytest.raises(SoakError, match=r"memory grows: resident_mb \+"):
        configuration_run.check_growth(made)


def test_what_caches_take_before_the_first_that_counts_is_no_growth() -> None:
    filling = [replace(one, resident_mb=700.0) if one.number < 0 else one for one in readings(0.0)]
    configuration_run.check_growth(filling)


def test_a_slope_needs_two_readings_of_a_kind() -> None:
    with pytest.raises(ValueError, match="two readings"):
        slope(readings(1.0, count=0))
    too_few = configuration_run.ConfigurationOptions({}, configurations=10)
    with pytest.raises(SoakError, match="more than 10"):
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
