"""`train evaluate NAME` on images as they lie in folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from perception_contrast_training.cli.train_command import main
from perception_contrast_training.evaluation import encoder_report
from perception_contrast_training.evaluation.encoding import EncoderAdapter


@pytest.fixture(autouse=True)
def _mean_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def adapter(name: str, *_: Any) -> EncoderAdapter:
        return EncoderAdapter(
            name, f"{name}@0", lambda x: x.mean((2, 3)), 16, (0.0,) * 3, (1.0,) * 3, torch.device("cpu")
        )

    monkeypatch.setattr(encoder_report, "_adapter_of", adapter)


def photos(folder: Path, colours: int, count: int = 15) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 60, (20, 24, 3)).astype(np.uint8)
        pixels[..., colours] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def figures(data: Path, out: Path, *more: str) -> dict[str, Any]:
    assert main(["evaluate", "colours", "--data", str(data), "--output", str(out), *more]) == 0
    found: dict[str, Any] = json.loads((out / "figures.json").read_text())["encoders"]["colours"]
    return found


def test_a_flat_folder_gives_what_needs_no_labels(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = photos(tmp_path / "photos", 0, 12)
    for number in range(12, 16):
        (folder / f"{number}.png").write_bytes(b"no image")
    (folder / "._0.png").write_bytes(b"remains of a copy")
    found = figures(folder, tmp_path / "out", "--held-out", "0.9")
    assert {"rank", "spread"} <= found.keys() and "kNN" not in found
    named = [line for line in caplog.messages if "left out: " in line]
    assert len(named) == found["unreadable images"] >= 2 and not any("._0" in line for line in named)


def test_days_are_classes_only_if_said(tmp_path: Path) -> None:
    for colour, day in enumerate(("2026-11-28", "2026-11-29")):
        photos(tmp_path / "days" / day, colour)
    assert "kNN" not in figures(tmp_path / "days", tmp_path / "a")
    assert figures(tmp_path / "days", tmp_path / "b", "--classes", "folders")["kNN"] == 1.0
    for colour, name in enumerate(("cup", "mug")):
        photos(tmp_path / "things" / name, colour)
    assert figures(tmp_path / "things", tmp_path / "c")["kNN"] == 1.0
    assert "kNN" not in figures(tmp_path / "things", tmp_path / "d", "--classes", "none")
