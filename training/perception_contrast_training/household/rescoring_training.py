"""Trains the zoom head: things of scenes, enlarged; batches, loop, checkpoint, export."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.core.spaces import require_same_space, space_name
from perception_contrast.encoders.alignment_head import AlignmentConfig, AlignmentHead, load_alignment
from perception_contrast.encoders.household_lit import HEAD_FILE
from perception_contrast.encoders.rescoring_head import (
    SIDE,
    RescoringConfig,
    RescoringHead,
    save_rescoring_head,
)
from perception_contrast.models.registry import HOUSEHOLD_LIT
from perception_contrast_training.config.rescoring_recipe import RescoringRecipe
from perception_contrast_training.engine.head_steps import HeadSteps, learning_rate
from perception_contrast_training.engine.journal import LOG, JsonLines, bar
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.household.concepts import TruthTable, draw_concepts
from perception_contrast_training.household.enlarged_regions import (
    EnlargedJob,
    EnlargedRegions,
    load_zoomed,
    make_zoomed,
)
from perception_contrast_training.household.rendered import make_shards, require_same_scenes
from perception_contrast_training.household.rescoring_losses import RescoringBatch, rescoring_losses
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.words import Concept, Words, phrase

logger = logging.getLogger(__name__)

LAYERS = AlignmentConfig().layers  # those that the head of whole images reads, which run anyway
HEAD = "head.safetensors"
TOLD, WRITTEN = 100, 500  # steps between two lines of the log for people, and two writings of the head
ENCODED = 256  # phrases at once


@dataclass(frozen=True)
class WordSpace:
    """The space that is learned: a head's words on its sentence tower. image: the tower it belongs to."""

    head: AlignmentHead
    bank: SentenceBank
    space: str
    image: str


def word_space(recipe: RescoringRecipe, *, offline: bool = False) -> WordSpace:
    """Raises ModelError for a head that cannot be read, SpaceError for one of other towers."""
    from perception_contrast.encoders.dinov2 import load_dino
    from perception_contrast.text.sentence_encoder import load_minilm

    path = Path(recipe.words) if recipe.words else HEAD_FILE
    head, facts, sha256 = load_alignment(path)
    tower = load_dino(recipe.image_tower, offline=offline, pinned=True)
    sentences = load_minilm(offline=offline)
    require_same_space(facts.get("image_space", tower.space), tower.space, f"head {path.name}")
    require_same_space(facts.get("text_space", sentences.space), sentences.space, f"head {path.name}")
    head.requires_grad_(False)
    return WordSpace(head, SentenceBank(sentences), space_name(HOUSEHOLD_LIT.name, sha256), tower.space)


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


def rendered(recipe: RescoringRecipe, offline: bool, *, kept_back: bool = False) -> EnlargedRegions:
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
    return load_zoomed(make_shards(jobs, recipe.scenes.workers, make_zoomed))


def encoded(bank: SentenceBank, phrases: Sequence[str]) -> Tensor:
    """(n, c) float32 unit sentence vectors, with a bar."""
    parts = range(0, len(phrases), ENCODED)
    rows = [bank.vectors(phrases[i : i + ENCODED]) for i in tracked(parts, "reading phrases", len(parts))]
    return torch.cat(rows)


class RescoringTrainer:
    """Steps a head over batches that it draws from things. The same recipe and things, the same head."""

    def __init__(self, recipe: RescoringRecipe, things: EnlargedRegions, words: WordSpace) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self._things, self._words = recipe, things, words
        self._rng = np.random.default_rng(recipe.seed)
        known = Words()
        settings = recipe.batch
        concepts = draw_concepts(things.objects, known, settings.pool, self._rng)
        self._truth = TruthTable(things.objects, concepts, known)
        self.names = self._truth.names
        self._phrases = encoded(words.bank, [phrase(c, self._rng) for c in concepts])
        called = [self._called(name, known) for name in self.names for _ in range(settings.wordings)]
        wordings = encoded(words.bank, called)
        self._wordings = wordings.reshape(len(self.names), settings.wordings, -1)
        self.head = _first_head(recipe, things, words)
        self._nothing = nn.Parameter(F.normalize(torch.randn(self.head.config.dim), dim=0))
        self._steps = HeadSteps(self.head, recipe.optimisation, [self._nothing])
        self.averaged = self._steps.averaged

    def _called(self, name: str, words: Words) -> str:
        choices = (name, name, *words.synonyms.get(name, ()))
        return phrase(Concept(str(self._rng.choice(choices))), self._rng)

    def draw(self) -> RescoringBatch:
        """The next batch."""
        rng, settings = self._rng, self.recipe.batch
        things = torch.from_numpy(rng.integers(0, len(self._things), settings.things))
        asked = torch.from_numpy(rng.integers(0, len(self._phrases), settings.phrases))
        return RescoringBatch(
            views=self._things.views(things),
            category=self._truth.category[things],
            names=self._wordings[:, int(rng.integers(settings.wordings))],
            phrases=self._phrases[asked],
            truth=self._truth.of(things, asked),
        )

    def _embedded(self, sentences: Tensor) -> Tensor:
        noise = self.recipe.optimisation.text_noise * torch.randn_like(sentences)
        with torch.no_grad():
            return self._words.head.text_embedding(F.normalize(sentences + noise, dim=-1))

    def step(self, batch: RescoringBatch, number: int) -> dict[str, float]:
        """One update; returns "loss/TERM", unweighted, and "loss", their weighted sum.

        Leaves the head as it is where loss or gradient is not finite. Raises PerceptionError if that
        does not stop.
        """
        weights, half = self.recipe.loss, self.recipe.optimisation.precision == "bfloat16"
        phrases, names = self._embedded(batch.phrases), self._embedded(batch.names)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            vectors = self.head(batch.views)
        terms = rescoring_losses(self.head, vectors, batch, names, self._nothing, phrases, weights.absent)
        total = weights.name * terms["name"] + weights.phrase * terms["phrase"]
        figures = {"loss": float(total.detach())}
        figures |= {f"loss/{name}": float(value.detach()) for name, value in terms.items()}
        self._steps.step(total, self.head.log_scale, number)
        return figures

    def kept(self) -> RescoringHead:
        """The averaged head, as it is to be used."""
        head = RescoringHead(self.head.config)
        head.load_state_dict(self.averaged.state)
        return head.eval()


def _first_head(recipe: RescoringRecipe, things: EnlargedRegions, words: WordSpace) -> RescoringHead:
    shape = recipe.head
    channels = things.channels
    config = RescoringConfig(
        channels=channels, layers=len(LAYERS), width=shape.width, cell=shape.cell,
        dim=words.head.config.dim, blocks=shape.blocks,
    )  # fmt: skip
    head = RescoringHead(config)
    head.drop.p = shape.dropout
    for part in head.blocks.modules():
        if isinstance(part, nn.Dropout):
            part.p = shape.block_dropout
    return head.train()


def train(recipe: RescoringRecipe, *, offline: bool = False) -> Path:
    """Renders what is missing, trains, writes ``head.safetensors`` into the output folder."""
    words = word_space(recipe, offline=offline)
    things = rendered(recipe, offline)
    if recipe.optimisation.threads:
        torch.set_num_threads(recipe.optimisation.threads)
    logger.info("%d things of %d images", len(things), len(set(things.scene.tolist())))
    fit(RescoringTrainer(recipe, things, words), words)
    return Path(recipe.output) / HEAD


def fit(trainer: RescoringTrainer, words: WordSpace) -> None:
    """All steps, a line of ``log.jsonl`` each; the averaged head is written every WRITTEN and at the end."""
    recipe, output = trainer.recipe, Path(trainer.recipe.output)
    steps = recipe.optimisation.steps
    journal, started = JsonLines(output / LOG), time.monotonic()
    try:
        with bar(steps, 0) as shown:
            for number in range(steps):
                figures = trainer.step(trainer.draw(), number)
                done, last = number + 1, number + 1 == steps
                rate = learning_rate(number, recipe.optimisation)
                journal.note(done, {**figures, "learning rate": rate})
                shown.note(done, figures)
                if done % TOLD == 0 or last:
                    speed = done / (time.monotonic() - started)
                    text = " ".join(f"{name} {value:.3f}" for name, value in figures.items())
                    logger.info("step %d (%.2f a second): %s", done, speed, text)
                if done % WRITTEN == 0 or last:
                    save_rescoring_head(trainer.kept(), output / HEAD, facts_of(trainer, words, done))
    finally:
        journal.close()


def facts_of(trainer: RescoringTrainer, words: WordSpace, steps: int) -> dict[str, str]:
    """What is written in the head's file. names: those that it learned to tell apart."""
    return {
        "image_space": words.image,
        "word_space": words.space,
        "layers": json.dumps(list(LAYERS)),
        "names": json.dumps(trainer.names),
        "recipe": json.dumps(asdict(trainer.recipe)),
        "steps": str(steps),
    }
