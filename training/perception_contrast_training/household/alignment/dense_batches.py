"""Batches for dense alignment: crops of token grids, phrases, and which cell is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from perception_contrast_sim.objects.props import SceneObject
from perception_contrast_training.household.alignment.token_window import (
    TokenWindow,
    cut_window,
    window_tensors,
)
from perception_contrast_training.household.scene_shards import Shard
from perception_contrast_training.household.words import (
    SURFACES,
    Concept,
    Words,
    caption,
    describe,
    phrase,
    twisted,
)


@dataclass(frozen=True)
class DenseBatch:
    """b images, n = (h * up) * (w * up) cells, q phrases.

    layers: per image-tower layer (b, h, w, c). colours (b, 6, H, W). cls (b, c). cells (b, n) int64,
    0 nothing else 1 + object. purity (b, n) in [0, 1]. truth (b, objects + 1, q) in {-1, 0, 1}.
    category (b, objects + 1) index into the category names, -1 none. places (b, objects + 1, 3): row and
    column of its middle in the crop's cells, radius in cells; 0 for what has no middle (walls, floors).
    category_open (b, objects + 1, k) bool: category names that an object may also have, none where it is
    None. category_weight (k,): what a category counts, alike where it is None.
    """

    layers: tuple[Tensor, ...]
    colours: Tensor
    cls: Tensor
    cells: Tensor
    purity: Tensor
    phrases: list[str]
    truth: Tensor
    category: Tensor
    category_words: list[str]
    places: Tensor
    captions: list[str]
    category_open: Tensor | None = None
    category_weight: Tensor | None = None


@dataclass(frozen=True)
class BatchSettings:
    """images a batch; crop: token rows and columns; phrases; least_cells: of what asks for
    something."""

    images: int = 16
    crop: int = 16
    phrases: int = 96
    least_cells: int = 3


class BatchMaker:
    """Draws batches from shards of one grid size at a time. rng: all that is drawn comes from it."""

    def __init__(
        self, shards: Sequence[Shard], words: Words, settings: BatchSettings, layers: int, seed: int
    ) -> None:
        self._groups: dict[tuple[int, int], list[Shard]] = {}
        for shard in shards:
            self._groups.setdefault((shard.tokens.shape[1], shard.tokens.shape[2]), []).append(shard)
        self._weights = np.array([sum(len(s.cls) for s in group) for group in self._groups.values()], float)
        self._words, self._settings, self._layers = words, settings, layers
        self.rng = np.random.default_rng(seed)
        self._names = [*words.names, *SURFACES]

    def draw(self) -> DenseBatch:
        """The next batch."""
        rng, settings = self.rng, self._settings
        groups = list(self._groups.values())
        shards = groups[int(rng.choice(len(groups), p=self._weights / self._weights.sum()))]
        parts = [self._window(shards[int(rng.integers(len(shards)))]) for _ in range(settings.images)]
        windows, objects = [window for window, _ in parts], [things for _, things in parts]
        given = window_tensors(windows, self._layers)
        counts = [np.bincount(cells, minlength=256) for cells in given["cells"].numpy()]
        visible = [
            {o.index: o for k, o in enumerate(things) if count[k + 1] >= settings.least_cells}
            for things, count in zip(objects, counts, strict=True)
        ]
        concepts = self._concepts(visible)
        return DenseBatch(
            **given,
            phrases=[phrase(c, rng) for c in concepts],
            truth=self._truth(objects, concepts),
            category=self._categories(objects),
            category_words=[self._category_word(name) for name in self._names],
            captions=[self._caption(things) for things in objects],
        )

    def _window(self, shard: Shard) -> tuple[TokenWindow, list[SceneObject]]:
        index = int(self.rng.integers(len(shard.cls)))
        objects = shard.objects[index]
        things = [thing.category not in SURFACES for thing in objects]
        return cut_window(shard, index, self._settings.crop, things, self.rng), objects

    def _concepts(self, visible: Sequence[dict[int, SceneObject]]) -> list[Concept]:
        rng, words, total = self.rng, self._words, self._settings.phrases
        present = [(o, things) for things in visible for o in things.values()]
        # Walls and floors are in every image; they would crowd the rest out.
        likely = np.array([0.15 if o.category in SURFACES else 1.0 for o, _ in present])
        concepts: list[Concept] = []
        for index in rng.choice(len(present), total * 5 // 10, p=likely / likely.sum()):
            thing, things = present[int(index)]
            concepts.append(describe(thing, words, rng, things))
        for _ in range(total // 10):
            concepts.append(Concept(str(rng.choice(words.parents))))
        seeds = [concepts[int(i)] for i in rng.integers(0, len(concepts), total * 2 // 10)]
        concepts += [twisted(c, words, rng) for c in seeds]
        while len(concepts) < total:
            pool = words.elsewhere if rng.random() < 0.4 else words.names
            concepts.append(Concept(str(rng.choice(pool))))
        return concepts

    def _truth(self, objects: Sequence[list[SceneObject]], concepts: Sequence[Concept]) -> Tensor:
        most = max(len(things) for things in objects)
        truth = torch.zeros(len(objects), most + 1, len(concepts))
        for b, things in enumerate(objects):
            known = {o.index: o for o in things}
            for k, thing in enumerate(things):
                truth[b, k + 1] = torch.tensor(
                    [float(self._words.true_of(c, thing, known)) for c in concepts]
                )
        return truth

    def _categories(self, objects: Sequence[list[SceneObject]]) -> Tensor:
        most = max(len(things) for things in objects)
        position = {name: i for i, name in enumerate(self._names)}
        category = torch.full((len(objects), most + 1), -1, dtype=torch.int64)
        for b, things in enumerate(objects):
            for k, thing in enumerate(things):
                category[b, k + 1] = position.get(thing.category, -1)
        return category

    def _caption(self, things: list[SceneObject]) -> str:
        # Two captions an image, always the same ones, so that each is encoded once.
        own = np.random.default_rng([len(things), *(o.index for o in things), int(self.rng.integers(2))])
        return caption({o.index: o for o in things}, self._words, own)

    def _category_word(self, name: str) -> str:
        choices = (name, name, *self._words.synonyms.get(name, ()))
        return phrase(Concept(str(self.rng.choice(choices))), self.rng)
