"""What people see of a run without a terminal, of several processes, and of files that cannot be read."""

from __future__ import annotations

import builtins
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from torch.optim.optimizer import register_optimizer_step_post_hook

from perception_contrast_training.cli.train_command import main
from perception_contrast_training.config.pretraining_recipe import recipe_of
from perception_contrast_training.engine import pretraining
from perception_contrast_training.engine.checkpoint import read_snapshot
from perception_contrast_training.engine.journal import JsonLines, LogLines, journals, read_log
from perception_contrast_training.engine.pretraining import start

VIT = {"name": "vit_tiny_patch16_224", "size": 32, "patch": 16, "width": 24, "depth": 1, "heads": 2}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_a_line_comes_every_30_seconds(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    lines = LogLines(1000, clock=clock)
    with caplog.at_level(logging.INFO):
        for step in range(1, 1001):  # 0.5 s a step
            lines.note(step, {"loss": 1.0})
            clock.now += 0.5
    told = [int(record.getMessage().split()[1]) for record in caplog.records]
    assert told == [*range(1, 1001, 60), 1000]


def test_advice_about_tensorboard_is_spelled_as_the_recipe_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if "tensorboard" in name:
            raise ModuleNotFoundError(name)
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    for journal in journals(tmp_path, 0, tensorboard=True):
        journal.close()
    assert "--set tensorboard=false" in caplog.text and "log.tensorboard" not in caplog.text
    assert recipe_of({"method": "mae", "tensorboard": False}).tensorboard is False


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    chance = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(chance.integers(0, 255, (32, 32, 3), np.uint8)).save(folder / f"{number:02d}.png")
    return folder


def options(images: Path, output: Path) -> dict[str, str]:
    network = ", ".join(f"{key}: {value}" for key, value in VIT.items())
    return {
        "backbone": f"{{{network}}}", "data.path": str(images), "data.workers": "0", "data.held_out": "0.25",
        "output": str(output), "tensorboard": "false", "optimisation.steps": "2", "optimisation.batch": "4",
        "optimisation.precision": "float32", "options.dim": "8", "monitors.alarms": "none",
    }  # fmt: skip


@pytest.mark.parametrize("rank", ["0", "1"])
def test_only_the_first_process_speaks(
    rank: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RANK", rank)
    level = logging.getLogger().level
    changes = [
        word
        for key, value in options(images, tmp_path / "run").items()
        for word in ("--set", f"{key}={value}")
    ]
    try:
        assert main(["run", "--recipe", "simclr_scratch", *changes]) == 0
        silenced = not logging.getLogger("perception_contrast_training").isEnabledFor(logging.WARNING)
    finally:
        logging.getLogger().setLevel(level)
    said = capsys.readouterr().out
    assert silenced == (rank == "1")
    assert ("finished; export it" in said) == (rank == "0") and (rank == "0" or not said)


@pytest.mark.parametrize("instructions", [False, True])
def test_a_cpu_without_instructions_for_bfloat16_learns_in_float32(
    instructions: bool, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pretraining, "has_bfloat16", lambda: instructions)
    recipe = recipe_of(
        {
            "method": "simclr", "output": str(tmp_path / "run"), "backbone": VIT, "tensorboard": False,
            "data": {"path": str(images), "workers": 0, "held_out": 0}, "options": {"dim": 8},
            "optimisation": {"steps": 1, "batch": 2, "precision": "bfloat16", "device": "cpu"},
            "monitors": {"alarms": "none"}, "as_written": True,
        }
    )  # fmt: skip
    assert ("precision is float32 in place of bfloat16" in pretraining.check(recipe)) is not instructions
    pretraining.start(recipe)
    stored = yaml.safe_load((tmp_path / "run" / "recipe.yaml").read_text())
    assert stored["optimisation"]["precision"] == ("bfloat16" if instructions else "float32")


def test_held_out_files_that_cannot_be_read_are_named_at_the_end(
    images: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    recipe = recipe_of(
        {
            "method": "simclr", "output": str(tmp_path / "run"), "backbone": VIT, "tensorboard": False,
            "data": {"path": str(images), "workers": 0, "held_out": 0.5}, "options": {"dim": 8},
            "optimisation": {"steps": 1, "batch": 2, "warm_up": 1}, "monitors": {"alarms": "none"},
            "measure": {"every": 1}, "as_written": True,
        }
    )  # fmt: skip
    order = np.random.default_rng(0).permutation(12)  # as images without times are split with seed 0
    broken = f"{order[0]:02d}.png"
    (images / broken).write_bytes(b"no image")
    with caplog.at_level(logging.WARNING):
        start(recipe)
    named = [r.getMessage() for r in caplog.records if broken in r.getMessage()]
    assert len(named) == 1 and named[0].endswith("(kept back)")
    assert "1 image(s) could not be read" in caplog.text


def test_steps_are_counted_as_they_are_done(images: Path, tmp_path: Path, caplog: Any) -> None:
    """12 images, 3 kept back, batches of 4 in micro-batches of 2: a pass has 2 batches, an image waits."""
    folder, steps = tmp_path / "run", list[int]()
    given = {**options(images, folder), "epochs": "3", "optimisation.steps": "0"}
    given |= {"optimisation.micro_batch": "2", "options.batch_norm": "false"}
    changes = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    hook = register_optimizer_step_post_hook(lambda *_: steps.append(1))
    try:
        with caplog.at_level(logging.INFO):
            assert main(["run", "--recipe", "simclr_scratch", *changes]) == 0
            assert len(steps) == 6
            assert "6 steps: 3 passes of 2 batches over 9 images" in caplog.text
            assert "step 6 of 6" in caplog.text and "step 7" not in caplog.text
            assert main(["resume", str(folder), "--steps", "9"]) == 0
    finally:
        hook.remove()
    log = read_log(folder / "log.jsonl")
    assert len(steps) == 9 and [line["step"] for line in log] == list(range(1, 10))
    assert [line["batches"] for line in log] == list(range(1, 10))
    assert "step 7 of 9" in caplog.text and "step 9 of 9" in caplog.text
    assert read_snapshot(folder / "checkpoints" / "step_000000009.safetensors").step == 9


def test_a_skipped_batch_is_no_step_and_is_told_once_after_a_resumption(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    first = JsonLines(path)
    # Batch 3 was skipped; the checkpoint is of batch 3, and what came after it is done again.
    for batch, step in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 3)):
        first.note(step, {"batches": batch})
    first.close()
    again = JsonLines(path, start=2, batches=3)
    for batch, step in ((4, 2), (5, 3), (6, 4)):
        again.note(step, {"batches": batch})
    again.close()
    assert [(line["batches"], line["step"]) for line in read_log(path)] == [
        (1, 1),
        (2, 2),
        (3, 2),
        (4, 2),
        (5, 3),
        (6, 4),
    ]
