"""Trains the rescoring head: renders scenes, makes its trainer, runs it, writes the head."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from perception_contrast.core.cache import sha256_of
from perception_contrast.core.errors import ModelError
from perception_contrast.encoders.alignment_head import AlignmentConfig
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast.encoders.rescoring_head import (
    SIDE,
    RescoringConfig,
    RescoringHead,
    load_rescoring_head,
    save_rescoring_head,
)
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe, rescoring_recipe_of
from perception_contrast_training.engine.random_streams import RandomStreams
from perception_contrast_training.engine.resume import stored_recipe
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.household.head_run import HEAD_FILE, HeadRun, recipe_in
from perception_contrast_training.household.learned_facts import with_inherited
from perception_contrast_training.household.mixed_batches import BatchSource, MixedBatchMaker
from perception_contrast_training.household.rescoring.enlarged_regions import (
    EnlargedJob,
    RenderedRegions,
    load_regions,
    make_regions,
)
from perception_contrast_training.household.rescoring.photo_region_batches import PhotoRegionBatchMaker
from perception_contrast_training.household.rescoring.photograph_training import (
    PhotographRegions,
    photograph_regions,
)
from perception_contrast_training.household.rescoring.rescoring_batches import RescoringBatchMaker
from perception_contrast_training.household.rescoring.rescoring_losses import RescoringBatch
from perception_contrast_training.household.rescoring.rescoring_method import CropRescoring
from perception_contrast_training.household.rescoring.word_space import WordSpace, load_word_space
from perception_contrast_training.household.scene_shards import make_shards, require_same_scenes
from perception_contrast_training.household.training_sets import sets_of

logger = logging.getLogger(__name__)

LAYERS = AlignmentConfig().layers  # those that the head of whole images reads, which run anyway


def shard_jobs(recipe: RescoringRecipe, offline: bool, *, kept_back: bool = False) -> list[EnlargedJob]:
    """The shards of a recipe, those to learn from or those kept back; a number counts from scenes.seed."""
    scenes, test = recipe.scenes, recipe.evaluation
    first, count = 0, recipe.shards
    if kept_back:
        first, count = test.seed - scenes.seed, math.ceil(test.images / scenes.per_shard)
    folder = shard_folder(recipe, kept_back=kept_back)
    return [
        EnlargedJob(
            folder / f"{number:05d}", scenes.seed + number, scenes.per_shard, recipe.image_tower, LAYERS,
            offline, unseen=kept_back and test.unseen,
        )
        for number in range(first, first + count)
    ]  # fmt: skip


def shard_folder(recipe: RescoringRecipe, *, kept_back: bool = False) -> Path:
    return Path(recipe.output) / ("test" if kept_back else "shards")


def rendered(recipe: RescoringRecipe, offline: bool, *, kept_back: bool = False) -> RenderedRegions:
    """The things of a recipe's scenes; those that are missing are rendered. Raises PerceptionError."""
    facts: dict[str, object] = {
        "scene seed": recipe.scenes.seed,
        "images a shard": recipe.scenes.per_shard,
        "image tower": recipe.image_tower,
        "layers": list(LAYERS),
        "pixels a view": SIDE,
        "unseen": kept_back and recipe.evaluation.unseen,
    }
    require_same_scenes(shard_folder(recipe, kept_back=kept_back), facts)
    jobs = shard_jobs(recipe, offline, kept_back=kept_back)
    return load_regions(make_shards(jobs, recipe.scenes.workers, make_regions))


def start_file(start: str) -> Path:
    """The rescoring head that a recipe's ``start`` names: a packaged model's, or a file."""
    return PACKAGED[start].rescoring if start in PACKAGED else Path(start)


def initial_head(
    recipe: RescoringRecipe, things: RenderedRegions, words: WordSpace
) -> tuple[RescoringHead, dict[str, str]]:
    """A head before its first step, in training mode, and the facts of the file that it begins with.

    Raises:
        ModelError: The start has other sizes.
    """
    shape = recipe.head
    channels = things.channels
    config = RescoringConfig(
        channels=channels, layers=len(LAYERS), width=shape.width, cell=shape.cell,
        dim=words.head.config.dim, blocks=shape.blocks,
    )  # fmt: skip
    head = RescoringHead(config)
    facts: dict[str, str] = {}
    if recipe.start:
        stored, facts, _ = load_rescoring_head(start_file(recipe.start))
        if stored.config != config:
            raise ModelError(f"'{recipe.start}' has other sizes ({stored.config}) than 'head' asks for")
        head.load_state_dict(stored.state_dict())
    head.drop.p = shape.dropout
    for part in head.blocks.modules():
        if isinstance(part, nn.Dropout):
            part.p = shape.block_dropout
    return head.train(), facts


class RescoringFit:
    """A fit of the rescoring head by the common trainer; the same recipe and things, the same head.

    Attributes:
        trainer: Steps a ``CropRescoring``.
        head: The head that is fitted.
        maker: Draws its batches.
    """

    def __init__(
        self,
        recipe: RescoringRecipe,
        things: RenderedRegions,
        words: WordSpace,
        photographs: PhotographRegions | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe, self._words = recipe, words
        rooms = RescoringBatchMaker(things, words.bank, recipe.batch, recipe.seed)
        self.maker: BatchSource[RescoringBatch] = rooms
        self._facts = {"names": json.dumps(rooms.names)}
        if photographs is not None:
            crops = PhotoRegionBatchMaker(
                photographs.things, photographs.naming, words.bank, recipe.batch, rooms.rng
            )
            self.maker = MixedBatchMaker(rooms, crops, recipe.photographs.share)
            self._facts = {
                "names": json.dumps(list(dict.fromkeys([*rooms.names, *crops.names]))),
                "learned_from": photographs.learned_from,
            }
        self.head, start = initial_head(recipe, things, words)
        self._facts = with_inherited(start, self._facts)
        self.trainer = Trainer(
            CropRescoring(self.head, words, recipe.loss, recipe.optimisation.text_noise),
            recipe.optimisation.for_trainer(recipe.batch.things),
            epoch_steps=max(1, len(things) // recipe.batch.things),
            streams=RandomStreams(batches=rooms.rng),
        )

    def run(self, *, resume: bool = False) -> Path:
        """Fits the head to the end and writes it.

        Args:
            resume: Whether to go on with the run in the output folder, whatever its recipe was.

        Returns:
            The head's file in the output folder.
        """
        recipe, folder = self._recipe, Path(self._recipe.output)
        inputs = {"image_space": self._words.image, "word_space": self._words.space}
        if recipe.start:
            inputs["start"] = sha256_of(start_file(recipe.start))
        path = folder / HEAD_FILE
        run = HeadRun(folder, recipe, inputs, recipe.checkpoints, resume)
        stored = run.checkpoint_to_resume()
        run.fit(self.trainer, stored, lambda: vars(self.maker.draw()), lambda _: self._write(path))
        return path

    def kept_head(self) -> RescoringHead:
        """The averaged head, as it is to be used."""
        kept = self.trainer.kept_state()
        own = {n.removeprefix("head."): v for n, v in kept.items() if n.startswith("head.")}
        head = RescoringHead(self.head.config)
        head.load_state_dict(own)
        return head.eval()

    def _write(self, path: Path) -> None:
        """names: those that the head learned to tell apart."""
        facts = {
            "image_space": self._words.image,
            "word_space": self._words.space,
            "layers": json.dumps(list(LAYERS)),
            **self._facts,
            "recipe": json.dumps(asdict(self._recipe)),
            "steps": str(self.trainer.step_count),
        }
        save_rescoring_head(self.kept_head(), path, facts)


def train(recipe: RescoringRecipe, *, offline: bool = False, resume: bool = False) -> Path:
    """Renders what is missing, fits, and writes ``head.safetensors`` into the output folder.

    Raises:
        KeyboardInterrupt: It was interrupted; the same command goes on.
        PerceptionError: Shards, towers or checkpoints cannot be used.
    """
    # Before hours of rendering: a path that is wrong is told at once.
    sets = sets_of(recipe.photographs)
    words = load_word_space(recipe, offline=offline)
    things = rendered(recipe, offline)
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    photographs = None if sets is None else photograph_regions(recipe, sets, offline=offline)
    logger.info("%d things of %d images", len(things), len(set(things.scene.tolist())))
    return RescoringFit(recipe, things, words, photographs).run(resume=resume)


def resume(folder: Path, steps: int = 0) -> Path:
    """Goes on with the fit in a folder from its last checkpoint, as if it had never stopped.

    Args:
        folder: The output folder, with its shards.
        steps: More or fewer than the recipe's, 0 for those; schedules then stretch.

    Returns:
        The head's file.

    Raises:
        KeyboardInterrupt: It was interrupted again.
        PerceptionError: There is nothing to go on with, or the inputs are others.
    """
    return train(recipe_in(folder, rescoring_recipe_of(stored_recipe(folder)), steps), resume=True)
