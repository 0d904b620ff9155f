"""A recipe's run in its folder: started, or gone on with from its last checkpoint."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
import yaml
from torch import nn

from perception_contrast.core.cache import atomic_write
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import (
    PretrainRecipe,
    as_mapping,
    recipe_of,
    settled,
)
from perception_contrast_training.config.run_settings import require_sane
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen, captioned
from perception_contrast_training.data.loading.batches import batches, chance
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.data.pairs.partners import Partners, partners_of
from perception_contrast_training.engine.checkpoint import Checkpoints, Snapshot, load_into, read_snapshot
from perception_contrast_training.engine.distributed import Processes, joined
from perception_contrast_training.engine.journal import bar, journals
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import Ended, Parts, RunLoop
from perception_contrast_training.evaluation.held_out import column, split
from perception_contrast_training.evaluation.held_out_figures import HeldOut, Probe
from perception_contrast_training.methods.base import Method, Views
from perception_contrast_training.methods.pairs import Towers
from perception_contrast_training.methods.registry import make_method, network_of
from perception_contrast_training.monitors.watch import Watcher
from perception_contrast_training.networks.two_towers import Network

logger = logging.getLogger(__name__)

RECIPE = "recipe.yaml"
CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class Data:
    """learned: images to learn from. held: those kept back, None where none are."""

    learned: Images
    held: Images | None


def open_data(recipe: PretrainRecipe) -> Data:
    """Raises PerceptionError for data that is not there or lacks what the method needs."""
    settings = recipe.data
    if not settings.path:
        raise PerceptionError("the recipe names no data; give --set data.path=FOLDER")
    whole = _fit(recipe, open_dataset(settings.path, part=settings.part or None))
    if settings.held_out_part:
        return Data(whole, _fit(recipe, open_dataset(settings.path, part=settings.held_out_part)))
    if not settings.held_out or len(whole) < 2:
        return Data(whole, None)
    learned, held = split(
        len(whole), settings.held_out, seed=recipe.seed,
        stamps=column(whole, "stamps"), groups=column(whole, "groups"),
    )  # fmt: skip
    return Data(Chosen(whole, learned), Chosen(whole, held))


def _fit(recipe: PretrainRecipe, images: Images) -> Images:
    if not recipe.kind.texts:
        return images
    having = captioned(images)
    if not len(having):
        raise PerceptionError(
            f"'{recipe.data.path}' has no captions, and {recipe.method} learns from images with captions; "
            "give a table of paths and captions, or choose simclr, byol, dino, dinov2 or mae"
        )
    return having


def partners_in(recipe: PretrainRecipe, data: Data) -> Partners | None:
    """As ``partners_of``, among the images to learn from: none comes from those kept back."""
    settings, negatives = recipe.data.pairs, recipe.kind.negatives
    return partners_of(data.learned, settings, recipe.data.path, negatives=negatives)


def start(recipe: PretrainRecipe) -> Ended:
    """A new run in the recipe's output folder.

    Raises PerceptionError where there is one already, and as ``RunLoop.go`` does.
    """
    folder = Path(recipe.output)
    if Checkpoints(folder / CHECKPOINTS, 1).steps():
        raise PerceptionError(
            f"there is a run in '{folder}'; go on with it by `perception-contrast train resume {folder}`, or "
            "choose another output"
        )
    with joined(recipe.optimisation.device) as processes:
        return _go(recipe, folder, processes, None)


def check(recipe: PretrainRecipe) -> str:
    """What a run would learn from and what would be chosen, without starting it. Raises PerceptionError."""
    require_sane_before(recipe, Processes())
    data, backbone = open_data(recipe), fresh_backbone(recipe)
    recipe, sentences = settled(recipe, len(data.learned), backbone.size)
    require_sane(recipe.optimisation)
    Order(len(data.learned), recipe.optimisation.batch, recipe.seed)
    made(recipe, backbone)
    partners = partners_in(recipe, data)
    sentences += partners.sentences() if partners else []
    held = len(data.held) if data.held is not None else 0
    counts = f"{len(data.learned)} images to learn from, {held} kept back"
    first = f"{recipe.method} on {recipe.backbone.name}: {counts}"
    return "\n".join([first, *sentences])


def resume(folder: Path, steps: int = 0) -> Ended:
    """Goes on with a run from its last readable checkpoint, as if it had never stopped.

    steps: more or fewer than the recipe's, 0 for those; schedules then stretch. Raises PerceptionError.
    """
    stored = stored_recipe(folder)
    if steps:
        mapping = as_mapping(stored)
        mapping["optimisation"]["steps"] = steps
        stored = recipe_of(mapping)
    found = Checkpoints(folder / CHECKPOINTS, 1).newest()
    if found is None:
        raise PerceptionError(f"'{folder}' has no checkpoint yet; start it with `train run`")
    with joined(stored.optimisation.device) as processes:
        return _go(stored, folder, processes, found)


def stored_recipe(folder: Path) -> PretrainRecipe:
    """The recipe of a run, settled. Raises PerceptionError for a folder that holds none."""
    if not (folder / RECIPE).is_file():
        raise PerceptionError(f"'{folder}' holds no run: it has no {RECIPE}")
    return recipe_of(read_mapping(folder / RECIPE))


def _go(
    recipe: PretrainRecipe, folder: Path, processes: Processes, found: tuple[Path, Snapshot] | None
) -> Ended:
    require_sane_before(recipe, processes)
    data = open_data(recipe)
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    backbone = fresh_backbone(recipe)
    recipe, sentences = settled(recipe, len(data.learned), backbone.size)
    require_sane(recipe.optimisation, processes.count)
    order = Order(len(data.learned), recipe.optimisation.batch, recipe.seed)
    partners = partners_in(recipe, data)
    method, views = made(recipe, backbone)
    trainer = Trainer(
        method,
        recipe.optimisation,
        epoch_steps=order.pass_batches,
        seed=recipe.seed,
        processes=processes,
    )
    if found is not None:
        load_into(trainer.module, found[1].method, found[0])
        trainer.resume(found[1])
    elif processes.first:
        text = yaml.safe_dump(as_mapping(recipe), sort_keys=False, allow_unicode=True)
        atomic_write(folder / RECIPE, text.encode())
        for sentence in [*sentences, *(partners.sentences() if partners else [])]:
            logger.info("chosen: %s", sentence)
    with bar(recipe.optimisation.steps, trainer.step_count, shown=processes.first) as shown:
        written = (
            journals(folder, trainer.step_count, tensorboard=recipe.tensorboard) if processes.first else []
        )
        parts = Parts(
            feed=batches(
                data.learned, views, order, start=trainer.batches, rank=processes.rank,
                processes=processes.count, workers=recipe.data.workers,
                pinned=processes.device.type == "cuda", partners=partners,
            ),
            checkpoints=Checkpoints(folder / CHECKPOINTS, recipe.checkpoints.keep),
            settings=recipe.checkpoints,
            journals=[*written, shown],
            watcher=Watcher(recipe.monitors, recipe.optimisation.steps, recipe.optimisation.batch),
            probe=probe_of(recipe, data),
            probe_every=recipe.measure.every,
        )  # fmt: skip
        try:
            return RunLoop(trainer, parts).go()
        finally:
            for journal in parts.journals:
                journal.close()


def require_sane_before(recipe: PretrainRecipe, processes: Processes) -> None:
    """What can be said before any data is read."""
    require_sane(replace(recipe.optimisation, steps=recipe.optimisation.steps or 1), processes.count)


def fresh_backbone(recipe: PretrainRecipe) -> Network:
    """The network at its start; the same one for the same recipe."""
    torch.manual_seed(chance(recipe.seed, 0))
    return network_of(recipe.method, recipe.options, recipe.backbone)


def made(recipe: PretrainRecipe, backbone: Network) -> tuple[Method, Views]:
    torch.manual_seed(chance(recipe.seed, 1))
    return make_method(recipe.method, recipe.options, backbone, recipe.lora)


def pair_of(method: Method) -> Towers | None:
    """Both towers of a method that learns from captions."""
    return cast(Towers | None, getattr(method, "pair", None))


def held_out_of(recipe: PretrainRecipe, data: Data) -> HeldOut | None:
    if data.held is None:
        return None
    return HeldOut(data.learned, data.held, recipe.measure.images, recipe.data.workers)


def probe_of(recipe: PretrainRecipe, data: Data) -> Probe | None:
    held_out = held_out_of(recipe, data)
    return None if held_out is None or not recipe.measure.every else Probe(held_out)


@dataclass(frozen=True)
class Trained:
    """A run as it is on disk. method: with the weights of ``step``."""

    recipe: PretrainRecipe
    method: Method
    step: int

    @property
    def backbone(self) -> Network:
        return cast(Network, self.method.exported())

    @property
    def pair(self) -> Towers | None:
        """Both towers, where it learned from captions."""
        return pair_of(self.method)


def load_run(folder: Path, *, best: bool = True, step: int = 0) -> Trained:
    """A run's method at its best checkpoint, at its last, or at a step. Raises PerceptionError."""
    recipe = stored_recipe(folder)
    checkpoints = Checkpoints(folder / CHECKPOINTS, 1)
    noted = checkpoints.best() if best and not step else None
    if step or noted:
        path = checkpoints.path_of(step or cast(tuple[int, float], noted)[0])
        if not path.is_file():
            raise PerceptionError(
                f"'{folder}' has no checkpoint of step {step}; it has: "
                f"{', '.join(map(str, checkpoints.steps())) or 'none'}"
            )
        found = path, read_snapshot(path)
    else:
        newest = checkpoints.newest()
        if newest is None:
            raise PerceptionError(f"'{folder}' has no checkpoint yet; start it with `train run`")
        found = newest
    method, _ = made(recipe, fresh_backbone(recipe))
    module = cast(nn.Module, method)
    load_into(module, found[1].method, found[0])
    module.eval()
    return Trained(recipe, method, found[1].step)
