"""The command that says whether a device waits for its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perception_contrast.images.files import save_image
from perception_contrast_training.bench.loader_rates import Rates, main, verdict


def test_rates_of_both_ways_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(8):
        rgb = np.random.default_rng(number).integers(0, 255, (40, 50, 3), dtype=np.uint8)
        save_image(tmp_path / f"{number}.png", rgb)
    small = (
        "backbone.size=32",
        "backbone.patch=8",
        "backbone.width=24",
        "backbone.depth=1",
        "backbone.heads=3",
    )
    sets = [
        f"--set={one}"
        for one in (
            *small, f"data.path={tmp_path}", "data.held_out=0", "optimisation.batch=4",
            "optimisation.device=cpu", "optimisation.precision=float32",
        )
    ]  # fmt: skip
    assert main(["--recipe", "simclr_scratch", *sets, "--workers", "0", "--batches", "2"]) == 0
    text = capsys.readouterr().out
    rows = [line for line in text.splitlines() if line.startswith(("| workers", "| device"))]
    assert len(rows) == 2 and "batch 4" in text
    cells = [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]
    assert cells[0][3] == "-" and int(cells[1][3]) > 0
    assert all(int(row[column]) > 0 for row in cells for column in (2, 4, 5))


def test_a_device_that_waits_is_told_the_cure() -> None:
    assert "2.0 times as fast" in verdict(Rates(200, 400, 100, 99, 0.0))
    assert "waits for 60% of the time: raise data.workers" in verdict(Rates(40, 400, 100, 38, 0.6))
