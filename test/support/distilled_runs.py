"""Tiny teachers of random weights in folders, photographs of noise, and runs of a tiny student."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tiny_pairs import RUNS, colour_table, finished

from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, recipe_of
from perception_contrast_training.export.export_run import export_run

SIDE = 32
STUDENT = {"name": "resnet10t", "size": SIDE, "stride": 16, "channels": 24}


def noise_images(folder: Path, count: int = 12, side: int = 40) -> Path:
    """A folder of images in two textures."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(0)
    for number in range(count):
        coarse = chance.integers(0, 255, (side // 4, side // 4, 3), np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling(number % 2))
        image.save(folder / f"{number}.png")
    return folder


def word_teacher(folder: Path) -> Path:
    """An exported pair: a ViT of patch 8 and a text transformer, trained for a step on captions."""
    folder.mkdir(parents=True)
    run = finished(RUNS["scratch"], colour_table(folder), folder, steps=1)
    return export_run(run, folder / "teacher", accept_regression=True).folder


def distillation(
    images: Path,
    output: Path,
    teachers: Sequence[str],
    steps: int = 4,
    learning_rate: float = 1e-2,
    **options: Any,
) -> PretrainRecipe:
    """The recipe of a tiny student."""
    cache = {"folder": str(output.parent / "features"), "gigabytes": 1}
    return recipe_of(
        {
            "method": "distill", "name": "student", "output": str(output), "tensorboard": False,
            "backbone": options.pop("backbone", STUDENT),
            "data": {"path": str(images), "workers": 0, "held_out": 0.0},
            "options": {"teachers": list(teachers), "statistics": 8, "cache": cache, **options},
            "optimisation": {"steps": steps, "batch": 4, "learning_rate": learning_rate, "warm_up": 0},
            "checkpoints": {"every": 2, "keep": 9}, "measure": {"every": 0}, "monitors": {"alarms": "none"},
        }
    )  # fmt: skip


def random_images(count: int = 2, side: int = SIDE) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1))
