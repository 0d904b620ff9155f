"""Pretraining from a recipe: started, checked, or resumed from its last checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import require_writable
from perception_contrast.engines.cpu_features import has_bfloat16
from perception_contrast_training.config.pretraining_recipe import (
    PretrainRecipe,
    as_mapping,
    recipe_of,
    settled,
)
from perception_contrast_training.config.run_settings import require_sane
from perception_contrast_training.data.datasets.frame_lists import (
    FrameLists,
    frame_lists_of,
    read_frame_lists,
    write_frame_lists,
)
from perception_contrast_training.data.datasets.subset import left_out_files
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.data.pairs.positive_pairs import PositivePairs
from perception_contrast_training.engine.checkpoint import StoredSnapshot
from perception_contrast_training.engine.distributed import Processes, joined
from perception_contrast_training.engine.feed import loaded
from perception_contrast_training.engine.optimiser import LARS_ON_A_VIT, require_optimiser_fits
from perception_contrast_training.engine.pretraining_data import (
    PretrainingData,
    held_out_of,
    open_data,
    positive_pairs_in,
    with_data_at,
)
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of
from perception_contrast_training.engine.regression_guard import few_held_out
from perception_contrast_training.engine.resume import checkpoints_of, last_checkpoint, stored_recipe
from perception_contrast_training.engine.trackers import require_loggers
from perception_contrast_training.engine.trainer import Trainer, on_device
from perception_contrast_training.engine.training_loop import EndReason
from perception_contrast_training.engine.training_run import Feed, RunOutput, run_training
from perception_contrast_training.evaluation.held_out_figures import Probe
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.methods.base import Batch, Prepared, Views
from perception_contrast_training.methods.scaling import change_sentence
from perception_contrast_training.monitors.watch import Watcher
from perception_contrast_training.networks.backbones import learns_tokens
from perception_contrast_training.views.device_views import DEVICE, made_on_device, place_of_views

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Plan:
    """A recipe with every number chosen, why, and what a run of it is made of."""

    recipe: PretrainRecipe
    sentences: list[str]
    data: PretrainingData
    order: Order
    positives: PositivePairs | None
    trainer: Trainer
    views: Views

    def feed(self, start: int) -> Feed:
        """Batches from number ``start`` on."""
        processes = self.trainer.processes
        feed = loaded(
            self.data.learned, self.views, self.order, self.recipe.data, processes, start, self.positives
        )
        later = self.recipe.data.views == DEVICE
        return made_on_device(feed, self.views, processes.device) if later else feed

    def first_batches(self, images: int) -> Iterator[Batch]:
        """The whole first batches, ``images`` in all or a pass, the same in every process."""
        wanted = min(self.order.pass_batches, max(1, images // self.order.batch))
        made = batches(self.data.learned, self.views, self.order, workers=self.recipe.data.workers)
        for batch in tracked(islice(made, wanted), "looking at the first images", wanted):
            yield on_device(batch, self.trainer.processes.device)


def start(recipe: PretrainRecipe) -> EndReason:
    """Starts a new run in the recipe's output folder.

    Raises:
        PerceptionError: There is one already, or as ``TrainingLoop.run``.
    """
    folder = Path(recipe.output)
    if checkpoints_of(folder).steps():
        raise PerceptionError(
            f"there is a run in '{folder}'; go on with it by `perception-contrast train resume {folder}`, or "
            "choose another output"
        )
    with joined(recipe.optimisation.device) as processes:
        return _run(_planned(with_data_at(recipe), processes), folder, None)


def resume(folder: Path, steps: int = 0, data: str = "") -> EndReason:
    """Goes on with a run from its last readable checkpoint, as if it had never stopped.

    Args:
        folder: The run's output folder.
        steps: More or fewer than the recipe's, 0 for those; schedules then stretch.
        data: Where the images are now, "" for where they were.

    Raises:
        PerceptionError: There is nothing to go on with, or as ``TrainingLoop.run``.
    """
    recipe = with_data_at(recipe_of(stored_recipe(folder)), data)
    lists = read_frame_lists(folder)
    if steps:
        mapping = as_mapping(recipe)
        mapping["optimisation"]["steps"] = steps
        recipe = recipe_of(mapping)
    stored = last_checkpoint(folder)
    with joined(recipe.optimisation.device) as processes:
        return _run(_planned(recipe, processes, lists, begun=True), folder, stored)


def check(recipe: PretrainRecipe) -> str:
    """What a run would learn from and what would be chosen, without starting it. Raises PerceptionError."""
    plan = _planned(recipe, Processes())
    held = len(plan.data.held) if plan.data.held is not None else 0
    counts = f"{len(plan.data.learned)} images to learn from, {held} kept back"
    few = few_held_out(plan.recipe, plan.data)
    lines = [f"{recipe.method} on {recipe.backbone.name}: {counts}", *plan.sentences]
    return "\n".join([*lines, *([few] if few else [])])


def _planned(
    recipe: PretrainRecipe, processes: Processes, lists: FrameLists | None = None, *, begun: bool = False
) -> _Plan:
    """lists: of images, of a run that goes on. begun: whether it does, with the optimiser that it has."""
    # What can be refused before any data is read.
    require_sane(replace(recipe.optimisation, steps=recipe.optimisation.steps or 1), processes.count)
    require_loggers(recipe.loggers)
    data = open_data(recipe, lists)
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    backbone = initial_backbone(recipe)
    recipe, sentences = settled(recipe, len(data.learned), backbone.size)
    if not begun:
        recipe, more = _in_a_format_of_the_cpu(recipe)
        sentences += more
    require_sane(recipe.optimisation, processes.count)
    order = Order(len(data.learned), recipe.optimisation.batch, recipe.seed)
    positives = positive_pairs_in(recipe, data)
    sentences += positives.sentences() if positives else []
    method, views = method_of(recipe, backbone)
    where = place_of_views(recipe.data.views, views, processes.device, begun=begun)
    recipe = replace(recipe, data=replace(recipe.data, views=where))
    if not begun:
        require_optimiser_fits(recipe.optimisation.optimiser, backbone)
    elif recipe.optimisation.optimiser == "lars" and learns_tokens(backbone) and processes.first:
        logger.warning("this run goes on as it began, but %s", LARS_ON_A_VIT)
    trainer = Trainer(
        method, recipe.optimisation, epoch_steps=order.pass_batches, seed=recipe.seed, processes=processes
    )
    return _Plan(recipe, sentences, data, order, positives, trainer, views)


def _in_a_format_of_the_cpu(recipe: PretrainRecipe) -> tuple[PretrainRecipe, list[str]]:
    """float32 for bfloat16 on a CPU without instructions for it, where a step takes ten times as long.

    It asks what the recipe will run on, not what checks it.
    """
    old = recipe.optimisation
    on_cpu = old.device == "cpu" or not torch.cuda.is_available()
    if old.precision != "bfloat16" or not on_cpu or has_bfloat16():
        return recipe, []
    why = "this CPU has no instructions for bfloat16"
    new = replace(recipe, optimisation=replace(old, precision="float32"))
    return new, change_sentence("precision", old.precision, "float32", why)


def _run(plan: _Plan, folder: Path, stored: StoredSnapshot | None) -> EndReason:
    recipe, trainer = plan.recipe, plan.trainer
    if trainer.processes.first:
        require_writable(folder)
    if stored is None and trainer.processes.first:
        for sentence in plan.sentences:
            logger.info("chosen: %s", sentence)
        if few := few_held_out(recipe, plan.data):
            logger.warning("%s", few)
        write_frame_lists(folder, frame_lists_of(plan.data.learned, plan.data.held))
    if stored is None and isinstance(trainer.method, Prepared):
        trainer.method.prepare(plan.first_batches(trainer.method.settings.statistics))
    held_out = held_out_of(recipe, plan.data)
    return run_training(
        trainer,
        RunOutput(folder, as_mapping(recipe), recipe.checkpoints, recipe.tensorboard, recipe.loggers),
        plan.feed,
        stored,
        watcher=Watcher(recipe.monitors, recipe.optimisation.steps, recipe.optimisation.batch),
        probe=Probe(held_out) if held_out is not None and recipe.measure.every else None,
        probe_every=recipe.measure.every,
        unreadable=left_out_files(plan.data.learned),
        held_out_unreadable=() if held_out is None else held_out.unreadable,
    )
