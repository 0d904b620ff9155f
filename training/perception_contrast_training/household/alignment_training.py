"""Trains the aligned household model: scenes, batches, loop, checkpoint, export."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from perception_contrast.core.cache import atomic_write
from perception_contrast.encoders.alignment_head import (
    AlignmentConfig,
    AlignmentHead,
    load_alignment,
    save_alignment,
)
from perception_contrast_training.config.alignment_recipe import AlignmentRecipe
from perception_contrast_training.engine.head_steps import HeadSteps
from perception_contrast_training.household.alignment_losses import TextVectors, alignment_losses
from perception_contrast_training.household.dense_batches import BatchMaker, DenseBatch
from perception_contrast_training.household.rendered import (
    ShardJob,
    load_shard,
    make_shard,
    make_shards,
    require_same_scenes,
)
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.words import Words, known_names

logger = logging.getLogger(__name__)


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


def _made_of(recipe: AlignmentRecipe) -> dict[str, object]:
    """What a shard depends on beside its size and number: more images of the same may be added."""
    return {
        "scene seed": recipe.scenes.seed,
        "images a shard": recipe.scenes.per_shard,
        "image tower": recipe.image_tower,
        "layers": list(AlignmentConfig().layers),
    }


def _first_head(recipe: AlignmentRecipe) -> tuple[AlignmentHead, dict[str, str]]:
    """The head before the first step, and what is written in the file it comes from."""
    if not recipe.start:
        return AlignmentHead(), {}
    stored, facts, _ = load_alignment(Path(recipe.start))
    head = AlignmentHead(replace(stored.config, things=True))
    head.load_state_dict({**head.state_dict(), **stored.state_dict()})
    for name, parameter in head.named_parameters():
        parameter.requires_grad_(not recipe.only or name.startswith(f"{recipe.only}."))
    kept = {key: text for key, text in facts.items() if key not in ("format", "config")}
    return head, kept if recipe.only else {}


class AlignmentTrainer:
    """Steps a head over batches. facts: what goes on to hold of the head it started from."""

    def __init__(self, recipe: AlignmentRecipe, bank: SentenceBank) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self._bank = recipe, bank
        self.head, self.facts = _first_head(recipe)
        self.head.drop.p = recipe.optimisation.dropout
        self._steps = HeadSteps(self.head, recipe.optimisation)
        self.averaged = self._steps.averaged

    def _text(self, batch: DenseBatch) -> TextVectors:
        noise = self.recipe.optimisation.text_noise

        def vectors(sentences: Sequence[str]) -> Tensor:
            rows = self._bank.vectors(sentences)
            return torch.nn.functional.normalize(rows + noise * torch.randn_like(rows), dim=-1)

        return TextVectors(vectors(batch.phrases), vectors(batch.category_words), vectors(batch.captions))

    def step(self, batch: DenseBatch, number: int) -> dict[str, float]:
        """One update; returns the terms, unweighted, and their weighted sum as "loss".

        Leaves the head as it is where loss or gradient is not finite. Raises PerceptionError if that
        does not stop.
        """
        settings = self.recipe.optimisation
        weights = {name: weight for name, weight in asdict(self.recipe.loss).items() if weight}
        text = self._text(batch)
        half = settings.precision == "bfloat16"
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found = alignment_losses(self.head, batch, text, weights)
            terms = {name: value.float() for name, value in found.items()}
        total = torch.stack([weights[name] * value for name, value in terms.items()]).sum()
        figures = {name: float(value.detach()) for name, value in terms.items()}
        figures["loss"] = float(total.detach())
        self._steps.step(total, self.head.log_scale, number)
        return figures


def train(recipe: AlignmentRecipe, *, offline: bool = False) -> Path:
    """Renders what is missing, trains, writes ``head.safetensors`` into the output folder."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.text.sentence_encoder import load_minilm

    require_same_scenes(Path(recipe.output) / "shards", _made_of(recipe))
    folders = make_shards(shard_jobs(recipe, offline), recipe.scenes.workers, make_shard)
    shards = [load_shard(folder) for folder in folders]
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    words = Words()
    sentences = load_minilm(offline=offline)
    spaces = {
        "image_space": load_dino(recipe.image_tower, offline=offline, pinned=True).space,
        "text_space": sentences.space,
    }
    config = AlignmentConfig()
    maker = BatchMaker(shards, words, recipe.batch, len(config.layers), recipe.seed)
    trainer = AlignmentTrainer(recipe, SentenceBank(sentences))
    output = Path(recipe.output)
    started, lines = time.monotonic(), []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("training", total=recipe.optimisation.steps)
        for number in range(recipe.optimisation.steps):
            figures = trainer.step(maker.draw(), number)
            lines.append({"step": number, **figures})
            text = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
            progress.update(task, advance=1, description=f"training {text}")
            if number % 100 == 99 or number + 1 == recipe.optimisation.steps:
                rate = (number + 1) / (time.monotonic() - started)
                logger.info("step %d (%.2f a second): %s", number + 1, rate, text)
                atomic_write(
                    output / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode()
                )
            if number % 500 == 499 or number + 1 == recipe.optimisation.steps:
                _export(trainer, output / "head.safetensors", spaces, number + 1)
    return output / "head.safetensors"


def _export(trainer: AlignmentTrainer, path: Path, spaces: dict[str, str], steps: int) -> None:
    head = AlignmentHead(trainer.head.config)
    head.load_state_dict(trainer.averaged.state)
    recipe = trainer.recipe
    facts = {
        **trainer.facts,
        "image_tower": recipe.image_tower,
        "text_tower": recipe.text_tower,
        **spaces,
        "recipe": json.dumps(asdict(recipe)),
        "steps": str(steps),
        "names": json.dumps(known_names()),
    }
    save_alignment(head, path, facts)
