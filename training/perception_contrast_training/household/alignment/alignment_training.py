"""Trains the alignment head: renders scenes, makes its trainer, runs it, writes the head."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from perception_contrast.core.cache import sha256_of
from perception_contrast.encoders.alignment_head import (
    TRAINED_ABSENT,
    AlignmentConfig,
    AlignmentHead,
    load_alignment,
    save_alignment,
)
from perception_contrast.encoders.household_lit import PACKAGED
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe, alignment_recipe_of
from perception_contrast_training.engine.random_streams import RandomStreams
from perception_contrast_training.engine.resume import stored_recipe
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.household.alignment.alignment_method import DenseAlignment
from perception_contrast_training.household.alignment.dense_batches import BatchMaker, DenseBatch
from perception_contrast_training.household.alignment.photo_batches import PhotoBatchMaker
from perception_contrast_training.household.alignment.photo_training import training_photographs
from perception_contrast_training.household.head_run import HEAD_FILE, HeadRun, recipe_in
from perception_contrast_training.household.learned_facts import inherited_facts, with_inherited
from perception_contrast_training.household.mixed_batches import BatchSource, MixedBatchMaker
from perception_contrast_training.household.scene_shards import (
    Shard,
    ShardJob,
    load_shard,
    make_shard,
    make_shards,
    require_same_scenes,
)
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.training_sets import TrainingSets, sets_of
from perception_contrast_training.household.words import Words, known_names

logger = logging.getLogger(__name__)

SENTENCES = "checkpoints/sentences.safetensors"  # encoded so far, for an exact resume


def shard_jobs(recipe: AlignmentRecipe, offline: bool) -> list[ShardJob]:
    """The shards of a recipe; seeds are spread so that no two shards share a scene."""
    scenes = recipe.scenes
    jobs: list[ShardJob] = []
    config = AlignmentConfig()
    for size, share in zip(scenes.sizes, scenes.shares, strict=True):
        for number in range(math.ceil(scenes.images * share / scenes.per_shard)):
            seed = scenes.seed * 1_000_003 + size[0] * 10_007 + number
            folder = Path(recipe.output) / "shards" / f"{size[0]}x{size[1]}_{number:04d}"
            jobs.append(
                ShardJob(folder, seed, scenes.per_shard, size, recipe.image_tower, config.layers, offline)
            )
    # Interleaved, so that an early start already has every size.
    return sorted(jobs, key=lambda job: (job.folder.name.split("_")[1], job.folder.name))


def _shard_facts(recipe: AlignmentRecipe) -> dict[str, object]:
    """What a shard depends on beside its size and number: more images of the same may be added."""
    return {
        "scene seed": recipe.scenes.seed,
        "images a shard": recipe.scenes.per_shard,
        "image tower": recipe.image_tower,
        "layers": list(AlignmentConfig().layers),
    }


def start_file(start: str) -> Path:
    """The alignment head that a recipe's ``start`` names: a packaged model's, or a file."""
    return PACKAGED[start].alignment if start in PACKAGED else Path(start)


@dataclass(frozen=True)
class InitialHead:
    """A head before the first step. facts: what goes on to hold of the file that it comes from."""

    head: AlignmentHead
    facts: Mapping[str, str]


def initial_head(recipe: AlignmentRecipe) -> InitialHead:
    """A new head, or that of ``recipe.start``, whose parameters that are not fitted ask for no gradient."""
    if not recipe.start:
        return InitialHead(AlignmentHead(), {})
    stored, facts, _ = load_alignment(start_file(recipe.start))
    head = AlignmentHead(replace(stored.config, things=True))
    head.load_state_dict({**head.state_dict(), **stored.state_dict()})
    words = head.word_side()
    for name, parameter in head.named_parameters():
        things = name.startswith("things.")
        parameter.requires_grad_({"things": things, "image": name not in words}.get(recipe.only, True))
    kept = {key: text for key, text in facts.items() if key not in ("format", "config")}
    # What tells things apart changes no score: the calibrations go on to hold.
    return InitialHead(head, kept if recipe.only == "things" else inherited_facts(kept))


class AlignmentFit:
    """A fit of the alignment head by the common trainer.

    Attributes:
        trainer: Steps a ``DenseAlignment``.
        head: The head that is fitted.
    """

    def __init__(
        self,
        recipe: AlignmentRecipe,
        bank: SentenceBank,
        maker: BatchSource[DenseBatch],
        about: Mapping[str, str] | None = None,
    ) -> None:
        """Makes the head and its trainer; the same recipe and batches, the same head.

        Args:
            recipe: Of the fit.
            bank: Encodes phrases.
            maker: Draws batches.
            about: Facts of what is learned from, for the head's file.
        """
        torch.manual_seed(recipe.seed)
        initial = initial_head(recipe)
        self._recipe, self._maker, self._bank = recipe, maker, bank
        self._facts = {**initial.facts, **with_inherited(initial.facts, about or {})}
        self.head = initial.head
        self.head.drop.p = recipe.optimisation.dropout
        self.trainer = Trainer(
            DenseAlignment(self.head, bank, recipe.loss, recipe.optimisation.text_noise),
            recipe.optimisation.for_trainer(recipe.batch.images),
            epoch_steps=max(1, recipe.scenes.images // recipe.batch.images),
            streams=RandomStreams(batches=maker.rng),
        )

    def run(self, spaces: Mapping[str, str], *, resume: bool = False) -> Path:
        """Fits the head to the end and writes it.

        Args:
            spaces: ``image_space`` and ``text_space`` of the towers.
            resume: Whether to go on with the run in the output folder, whatever its recipe was.

        Returns:
            The head's file in the output folder.
        """
        recipe, folder = self._recipe, Path(self._recipe.output)
        inputs = {**spaces, "start": sha256_of(start_file(recipe.start)) if recipe.start else ""}
        run = HeadRun(folder, recipe, inputs, recipe.checkpoints, resume)
        stored = run.checkpoint_to_resume()
        if stored is not None:
            self._bank.restore(folder / SENTENCES)
        run.fit(self.trainer, stored, lambda: vars(self._maker.draw()), lambda _: self._write(folder, spaces))
        return folder / HEAD_FILE

    def kept_head(self) -> AlignmentHead:
        """The averaged head, as it is to be used."""
        head = AlignmentHead(self.head.config)
        kept = self.trainer.kept_state()
        head.load_state_dict({name.removeprefix("head."): value for name, value in kept.items()})
        return head

    def _write(self, folder: Path, spaces: Mapping[str, str]) -> None:
        facts = {
            "names": json.dumps(known_names()),
            **self._facts,
            "image_tower": self._recipe.image_tower,
            "text_tower": self._recipe.text_tower,
            **spaces,
            "recipe": json.dumps(asdict(self._recipe)),
            "steps": str(self.trainer.step_count),
        }
        save_alignment(self.kept_head(), folder / HEAD_FILE, facts)
        self._bank.save(folder / SENTENCES)


def train(recipe: AlignmentRecipe, *, offline: bool = False, resume: bool = False) -> Path:
    """Renders what is missing, fits, and writes ``head.safetensors`` into the output folder.

    Raises:
        KeyboardInterrupt: It was interrupted; the same command goes on.
        PerceptionError: Shards, towers or checkpoints cannot be used.
    """
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.text.sentence_encoder import load_minilm

    # Before hours of rendering: a path that is wrong is told at once.
    sets = sets_of(recipe.photographs)
    if sets is None:
        logger.warning(
            "photographs.paths names none: the head learns from rendered rooms alone and will be mostly "
            "wrong on photographs"
        )
    require_same_scenes(Path(recipe.output) / "shards", _shard_facts(recipe))
    folders = make_shards(shard_jobs(recipe, offline), recipe.scenes.workers, make_shard)
    shards = [load_shard(folder) for folder in folders]
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    sentences = load_minilm(offline=offline)
    spaces = {
        "image_space": load_dino(recipe.image_tower, offline=offline, pinned=True).space,
        "text_space": sentences.space,
    }
    maker, facts = _batches(recipe, shards, sets, offline)
    return AlignmentFit(recipe, SentenceBank(sentences), maker, facts).run(spaces, resume=resume)


def _batches(
    recipe: AlignmentRecipe, shards: list[Shard], sets: TrainingSets | None, offline: bool
) -> tuple[BatchSource[DenseBatch], dict[str, str]]:
    """Batches of rooms, with those of photographs if there are any; facts of these for the head's file."""
    words, layers = Words(), len(AlignmentConfig().layers)
    if sets is None:
        maker = BatchMaker(shards, words, recipe.batch, layers, recipe.seed)
        return maker, {TRAINED_ABSENT: json.dumps(words.elsewhere)}
    photo_shards = training_photographs(recipe, sets, offline=offline)
    words.without_elsewhere(sets.words)
    scenes = BatchMaker(shards, words, recipe.batch, layers, recipe.seed)
    photos = PhotoBatchMaker(photo_shards, sets.naming, recipe.batch, layers, scenes.rng)
    mixed = MixedBatchMaker(scenes, photos, recipe.photographs.share)
    facts = {
        "learned_from": sets.learned_from,
        "names": json.dumps(known_names(sorted(sets.names))),
        TRAINED_ABSENT: json.dumps(words.elsewhere),
    }
    return mixed, facts


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
    return train(recipe_in(folder, alignment_recipe_of(stored_recipe(folder)), steps), resume=True)
