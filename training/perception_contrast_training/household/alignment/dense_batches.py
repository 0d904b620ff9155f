"""Batches for dense alignment: crops of token grids, phrases, and which cell is what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from perception_contrast_sim.objects.props import SceneObject
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
    """b images, n = (h * up) * (w * up) cells, q phrases, e examples.

    layers: per image-tower layer (b, h, w, c). colours (b, 6, H, W). cls (b, c). cells (b, n) int64,
    0 nothing else 1 + object. purity (b, n) in [0, 1]. truth (b, objects + 1, q) in {-1, 0, 1}.
    category (b, objects + 1) index into the category names, -1 none. places (b, objects + 1, 3): row and
    column of its middle in the crop's cells, radius in cells; 0 for what has no middle (walls, floors).
    examples (e, 2): image, object. same (b, objects + 1, e) in {0, 1}.
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
    examples: Tensor
    same: Tensor


@dataclass(frozen=True)
class _Crop:
    """A window of one image's arrays. middles (objects + 1, 3): as ``DenseBatch.places``."""

    tokens: np.ndarray
    colours: np.ndarray
    cls: np.ndarray
    cells: np.ndarray
    purity: np.ndarray
    middles: np.ndarray
    objects: list[SceneObject]


def middles_of(cells: np.ndarray, objects: Sequence[SceneObject]) -> np.ndarray:
    """Row, column and radius, (objects + 1, 3) float32, of what is seen of each object in cells (h, w).

    The radius is that of a disc of the same area. 0 where there is nothing to see, and for surfaces.
    """
    count = len(objects) + 1
    flat = cells.ravel()
    area = np.bincount(flat, minlength=count)[:count]
    rows, columns = np.divmod(np.arange(flat.size), cells.shape[1])
    sums = [np.bincount(flat, weights=axis, minlength=count)[:count] for axis in (rows, columns)]
    found = np.stack([*(total / np.maximum(area, 1) for total in sums), np.sqrt(area / np.pi)], axis=1)
    nothing = np.array([True, *(thing.category in SURFACES for thing in objects)]) | (area == 0)
    found[nothing] = 0.0
    return found.astype(np.float32)


@dataclass(frozen=True)
class BatchSettings:
    """images a batch; crop: token rows and columns; phrases; examples."""

    images: int = 16
    crop: int = 16
    phrases: int = 96
    examples: int = 24
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
        parts = [self._crop(shards[int(rng.integers(len(shards)))]) for _ in range(settings.images)]
        cells = torch.from_numpy(np.stack([p.cells for p in parts]).astype(np.int64)).flatten(1)
        objects = [p.objects for p in parts]
        counts = [np.bincount(c, minlength=256) for c in cells.numpy()]
        visible = [
            {o.index: o for k, o in enumerate(things) if count[k + 1] >= settings.least_cells}
            for things, count in zip(objects, counts, strict=True)
        ]
        concepts = self._concepts(visible)
        tokens = torch.from_numpy(np.stack([p.tokens for p in parts]).astype(np.float32))
        examples, same = self._examples(objects, visible)
        return DenseBatch(
            layers=tokens.chunk(self._layers, dim=-1),
            colours=torch.from_numpy(np.stack([p.colours for p in parts]).astype(np.float32)),
            cls=torch.from_numpy(np.stack([p.cls for p in parts]).astype(np.float32)),
            cells=cells,
            purity=torch.from_numpy(np.stack([p.purity for p in parts]).astype(np.float32)).flatten(1) / 255,
            phrases=[phrase(c, rng) for c in concepts],
            truth=self._truth(objects, concepts),
            category=self._categories(objects),
            category_words=[self._category_word(name) for name in self._names],
            places=_padded([p.middles for p in parts]),
            captions=[self._caption(things) for things in objects],
            examples=examples,
            same=same,
        )

    def _crop(self, shard: Shard) -> _Crop:
        rng, size = self.rng, self._settings.crop
        index = int(rng.integers(len(shard.cls)))
        _, h, w, _ = shard.tokens.shape
        up = shard.cells.shape[1] // h
        y, x = int(rng.integers(max(h - size, 0) + 1)), int(rng.integers(max(w - size, 0) + 1))
        fine = (slice(y * up, (y + size) * up), slice(x * up, (x + size) * up))
        objects = shard.objects[index]
        middles = middles_of(shard.cells[index], objects)
        middles[:, :2] -= (y * up, x * up)
        return _Crop(
            shard.tokens[index, y : y + size, x : x + size],
            shard.colours[index][:, fine[0], fine[1]],
            shard.cls[index],
            shard.cells[index][fine],
            shard.purity[index][fine],
            middles,
            objects,
        )

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

    def _examples(
        self, objects: Sequence[list[SceneObject]], visible: Sequence[dict[int, SceneObject]]
    ) -> tuple[Tensor, Tensor]:
        rng, wish = self.rng, self._settings.examples
        pool = [
            (b, k)
            for b, things in enumerate(objects)
            for k, o in enumerate(things)
            if o.index in visible[b] and o.category not in SURFACES
        ]
        if not pool:
            pool = [
                (b, k)
                for b, things in enumerate(objects)
                for k, o in enumerate(things)
                if o.index in visible[b]
            ]
        chosen = [pool[int(i)] for i in rng.integers(0, len(pool), wish)]
        most = max(len(things) for things in objects)
        same = torch.zeros(len(objects), most + 1, wish)
        for e, (b, k) in enumerate(chosen):
            wanted = objects[b][k].category
            for other, things in enumerate(objects):
                for position, thing in enumerate(things):
                    same[other, position + 1, e] = float(thing.category == wanted)
        return torch.tensor([(b, k + 1) for b, k in chosen], dtype=torch.int64), same


def _padded(tables: Sequence[np.ndarray]) -> Tensor:
    """Tables (n, k) of several lengths as one (b, most, k), zeros behind."""
    most = max(len(table) for table in tables)
    return torch.from_numpy(np.stack([np.pad(t, ((0, most - len(t)), (0, 0))) for t in tables]))
