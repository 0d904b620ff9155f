"""Batches of labelled photographs for dense alignment, where much is true, much false, and much unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast_training.household.alignment.dense_batches import BatchSettings, DenseBatch
from perception_contrast_training.household.alignment.token_window import cut_window, window_tensors
from perception_contrast_training.household.photo_shards import PhotoShard
from perception_contrast_training.household.words import Concept, phrase
from perception_contrast_training.photographs.base import PhotoRegion, SetFacts, TruthTable
from perception_contrast_training.photographs.naming import Naming, Truth

PURE = 128  # of 255: cells with less of one region do not make it seen
SYNONYM, WIDER = 0.25, 0.1  # share of true phrases by a synonym, by a wider word
OWN_SET = 0.5  # share of false phrases that are names of the image's own set
MOST_WEIGHT = 4.0  # of a rare name, where the names that are met have a mean weight of 1


class PhotoBatchMaker:
    """Draws batches from shards of photographs, those of several sets side by side."""

    def __init__(
        self,
        shards: Sequence[PhotoShard],
        naming: Naming,
        settings: BatchSettings,
        layers: int,
        rng: np.random.Generator,
    ) -> None:
        """Takes the shards.

        Args:
            shards: Of one grid size.
            naming: Says which words are true of which labels.
            settings: Of a batch.
            layers: Blocks of the image encoder that the tokens are made of.
            rng: All that is drawn comes from it.
        """
        self._shards, self._naming, self._settings, self._layers = shards, naming, settings, layers
        self.rng = rng
        self._share = np.array([len(shard.cls) for shard in shards], float)
        self._share /= self._share.sum()
        self._tables: dict[str, TruthTable] = {}
        met = Counter(one.name for shard in shards for image in shard.regions for one in image)
        self._names = sorted(met)
        self._number = {name: index for index, name in enumerate(self._names)}
        self._rarity = {name: count**-0.5 for name, count in met.items()}
        self._open: dict[str, Tensor] = {}
        weights = np.array([self._rarity[name] for name in self._names])
        counts = np.array([met[name] for name in self._names])
        weights /= (weights * counts).sum() / counts.sum()
        self._weights = torch.from_numpy(weights.clip(max=MOST_WEIGHT).astype(np.float32))

    def draw(self) -> DenseBatch:
        """The next batch."""
        rng, settings = self.rng, self._settings
        windows, regions, facts = [], [], []
        for _ in range(settings.images):
            shard = self._shards[int(rng.choice(len(self._shards), p=self._share))]
            index = int(rng.integers(len(shard.cls)))
            regions.append(shard.regions[index])
            facts.append(shard.facts)
            things = [one.thing for one in shard.regions[index]]
            windows.append(cut_window(shard, index, settings.crop, things, rng))
        given = window_tensors(windows, self._layers)
        seen = [
            self._seen(cells, window.purity.ravel())
            for cells, window in zip(given["cells"].numpy(), windows, strict=True)
        ]
        nouns = self._nouns(regions, seen, facts)
        return DenseBatch(
            **given,
            phrases=[phrase(Concept(noun), rng) for noun in nouns],
            truth=self._truth(regions, facts, nouns),
            category=self._categories(regions),
            category_words=[self._word(name) for name in self._names],
            captions=[
                self._caption([one[i].name for i in some]) for one, some in zip(regions, seen, strict=True)
            ],
            category_open=self._open_names(regions, facts),
            category_weight=self._weights,
        )

    def _seen(self, cells: NDArray[np.int64], purity: NDArray[np.uint8]) -> list[int]:
        """Indices of the regions that a window shows, at least ``least_cells`` of them."""
        count = np.bincount(cells[purity >= PURE], minlength=256)
        return [int(v) - 1 for v in np.nonzero(count[1:] >= self._settings.least_cells)[0] + 1]

    def _nouns(
        self,
        regions: Sequence[tuple[PhotoRegion, ...]],
        seen: Sequence[list[int]],
        facts: Sequence[SetFacts],
    ) -> list[str]:
        """Half of them true of something in the batch, rare names as often as their root; the rest false."""
        rng, total = self.rng, self._settings.phrases
        present = [one[i].name for one, some in zip(regions, seen, strict=True) for i in some]
        nouns: list[str] = []
        if present:
            likely = np.array([self._rarity[name] for name in present])
            chosen = rng.choice(len(present), total // 2, p=likely / likely.sum())
            nouns = [self._true_word(present[int(index)]) for index in chosen]
        while len(nouns) < total:
            own = sorted(facts[int(rng.integers(len(facts)))].names)
            pool: Sequence[str] = own if rng.random() < OWN_SET else self._naming.names
            nouns.append(self._word(str(rng.choice(pool))))
        return nouns

    def _true_word(self, name: str) -> str:
        draw = self.rng.random()
        synonyms = self._naming.synonyms(name)
        if draw < SYNONYM and synonyms:
            return str(self.rng.choice(synonyms))
        words = self._naming.true_words(name)
        return str(self.rng.choice(words)) if draw > 1 - WIDER else name

    def _word(self, name: str) -> str:
        """The name, or now and then a synonym."""
        synonyms = self._naming.synonyms(name)
        other = bool(synonyms) and self.rng.random() < SYNONYM
        return str(self.rng.choice(synonyms)) if other else name

    def _table(self, facts: SetFacts) -> TruthTable:
        if facts.name not in self._tables:
            self._tables[facts.name] = TruthTable(self._naming, facts)
        return self._tables[facts.name]

    def _truth(
        self, regions: Sequence[tuple[PhotoRegion, ...]], facts: Sequence[SetFacts], nouns: Sequence[str]
    ) -> Tensor:
        most = max(len(one) for one in regions)
        truth = torch.full((len(regions), most + 1, len(nouns)), -1.0)
        for b, (one, about) in enumerate(zip(regions, facts, strict=True)):
            rows = self._table(about).of_regions(one, nouns)
            truth[b, : len(rows)] = torch.from_numpy(rows.astype(np.float32))
        return truth

    def _categories(self, regions: Sequence[tuple[PhotoRegion, ...]]) -> Tensor:
        most = max(len(one) for one in regions)
        category = torch.full((len(regions), most + 1), -1, dtype=torch.int64)
        for b, one in enumerate(regions):
            for k, region in enumerate(one):
                category[b, k + 1] = self._number[region.name]
        return category

    def _open_names(self, regions: Sequence[tuple[PhotoRegion, ...]], facts: Sequence[SetFacts]) -> Tensor:
        """(b, regions + 1, names) bool: names that are no rivals of a region's own."""
        most = max(len(one) for one in regions)
        found = torch.zeros(len(regions), most + 1, len(self._names), dtype=torch.bool)
        for b, (one, about) in enumerate(zip(regions, facts, strict=True)):
            table = self._open_of(about)
            for k, region in enumerate(one):
                found[b, k + 1] = table[self._number[region.name]]
        return found

    def _open_of(self, facts: SetFacts) -> Tensor:
        """(names, names) bool of a set: whether what has the first name may have the second one too."""
        if facts.name not in self._open:
            truth = self._table(facts).of_regions([PhotoRegion(name) for name in self._names], self._names)
            table = torch.from_numpy(truth[1:] != Truth.FALSE)
            self._open[facts.name] = table & ~torch.eye(len(self._names), dtype=torch.bool)
        return self._open[facts.name]

    def _caption(self, names: Sequence[str]) -> str:
        if not names:
            return "a photo"
        picked = [names[int(i)] for i in self.rng.permutation(len(names))[: int(self.rng.integers(1, 5))]]
        parts = [f"a {name}" for name in dict.fromkeys(picked)]
        joined = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
        return f"a photo of {joined}"
