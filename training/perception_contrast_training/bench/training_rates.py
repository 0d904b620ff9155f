"""Images a second of each learning method, with and without mixed precision and recomputed activations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import torch

from perception_contrast.bench.gpu.figures import Figure, PartResult
from perception_contrast.bench.gpu.setup import Setup
from perception_contrast.bench.machine import synchroniser
from perception_contrast.core.errors import one_line
from perception_contrast_training.bench.shipped_recipes import SMALLER_HEADS, VIT
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, read_recipe, settled
from perception_contrast_training.config.shipped_recipes import recipe_path
from perception_contrast_training.data.datasets.samples import UNKNOWN, Sample
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.distributed import Processes
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.methods.base import Views

WARM_UPS = 2
PRECISIONS = ("float32", "bfloat16")


class NoiseImages:
    """Images of noise with a caption each: what is learned of them does not matter."""

    def __init__(self, count: int, side: int) -> None:
        self._count, self._side = count, side

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self._count:
            raise IndexError(index)
        chance = torch.Generator().manual_seed(index)
        image = torch.randint(0, 256, (3, self._side, self._side), generator=chance, dtype=torch.uint8)
        return Sample(
            image=image, text=f"noise number {index}", stamp=UNKNOWN, group=index, label=UNKNOWN,
            pose=torch.full((7,), torch.nan, dtype=torch.float64), index=index, key=str(index),
        )  # fmt: skip


def method_rates(method: str, setup: Setup) -> PartResult:
    """Images a second of a step, and on a GPU the memory at its peak, in four settings.

    One batch of views is made once and learned from again and again, so that neither reading nor the
    making of views counts.

    Args:
        method: one of ``methods.registry.METHODS``, by its shipped recipe from scratch.
        setup: device, batch and steps.
    """
    result, batch = PartResult(), None
    for precision, checkpointing in product(PRECISIONS, (False, True)):
        what = f"{method}, {precision}{', checkpointing' if checkpointing else ''}"
        recipe = _recipe(method, setup, precision, checkpointing)
        try:
            trainer, views = _trainer(recipe, setup)
            batch = batch or _batch(recipe, views)
            result.figures += _measured(trainer, batch, setup, what)
        except RuntimeError as error:  # out of memory among others; the next setting may fit
            result.missing[what] = one_line(error)
    result.notes.append(f"{method}: batch {setup.training_batch}, random weights, images of noise")
    return result


def _recipe(method: str, setup: Setup, precision: str, checkpointing: bool) -> PretrainRecipe:
    """The shipped recipe of a method from scratch; with small networks where the setup is tiny."""
    name = method if method == "lit" else f"{method}_scratch"
    changes = [
        f"optimisation.batch={setup.training_batch}",
        f"optimisation.steps={WARM_UPS + setup.training_steps}",
        f"optimisation.precision={precision}",
        f"backbone.checkpointing={str(checkpointing).lower()}",
        "backbone.pretrained=false",
    ]
    if setup.tiny:
        changes += [*VIT, "backbone.registers=0", *SMALLER_HEADS.get(method, ())]
    return read_recipe(recipe_path(name), changes)


def _trainer(recipe: PretrainRecipe, setup: Setup) -> tuple[Trainer, Views]:
    backbone = initial_backbone(recipe)
    recipe, _ = settled(recipe, setup.training_batch, backbone.size)
    recipe = replace(recipe, optimisation=replace(recipe.optimisation, most_skipped=1000))
    method, views = method_of(recipe, backbone)
    processes = Processes(device=torch.device(setup.device))
    return Trainer(method, recipe.optimisation, epoch_steps=1, processes=processes), views


def _batch(recipe: PretrainRecipe, views: Views) -> Mapping[str, Any]:
    count = recipe.optimisation.batch
    side = recipe.backbone.size + recipe.backbone.size // 8
    return next(batches(NoiseImages(count, side), views, Order(count, count, 0)))


def _measured(trainer: Trainer, batch: Mapping[str, Any], setup: Setup, what: str) -> list[Figure]:
    wait, times = synchroniser(setup.device), []
    if setup.on_gpu:
        torch.cuda.reset_peak_memory_stats(setup.device)
    for _ in range(WARM_UPS + setup.training_steps):
        wait()
        began = time.perf_counter()
        trainer.step(batch)
        wait()
        times.append(time.perf_counter() - began)
    rate = setup.training_batch / statistics.median(times[WARM_UPS:])
    figures = [Figure(what, round(rate, 2), "images/s")]
    if setup.on_gpu:
        peak = torch.cuda.max_memory_allocated(setup.device) / 1e6
        figures.append(Figure(f"{what}, memory", round(peak, 1), "MB"))
    return figures
