"""Training without the package of the simulated household: only what asks for household data is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shipped_methods import SMALL

# Runs commands, each a list of words, in one process that cannot import the simulation.
_SCRIPT = """
import importlib.abc, json, logging, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "perception_contrast_sim":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.cli import eval_command, train_command

for words in json.loads(sys.argv[1]):
    command = {"train": train_command, "eval": eval_command}[words[0]]
    try:
        print("exit code", command.main(words[1:]))
    except PerceptionError as error:
        print("refused:", error)
"""


@pytest.mark.slow
def test_methods_train_and_household_data_is_refused_with_the_remedy(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    rng = np.random.default_rng(0)
    for number in range(24):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(images / f"{number}.png")
    small = [word for change in SMALL for word in ("--set", change)]
    run = [
        "--recipe",
        "simclr_scratch",
        "--set",
        f"data.path={images}",
        "--set",
        f"output={tmp_path / 'run'}",
    ]
    commands = [
        ["train", "recipes"],
        ["train", "run", *run, *small],
        ["train", "--recipe", "household_lit"],
        ["train", "--recipe", "household_rescoring"],
        ["eval", "--task", "det", "--data", "household:2", "--out", str(tmp_path / "eval"), "--offline"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, json.dumps(commands)],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    said = [line for line in done.stdout.splitlines() if line.startswith(("exit code", "refused"))]
    assert said[:2] == ["exit code 0", "exit code 0"], done.stderr[-2000:]
    assert len(said) == 5 and all("pip install ./simulation" in line for line in said[2:]), said
