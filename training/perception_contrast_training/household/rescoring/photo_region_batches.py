"""Batches of enlarged regions of photographs for a rescoring head."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from perception_contrast_training.config.rescoring_recipe import RescoringBatchSettings
from perception_contrast_training.household.alignment.photo_batches import OWN_SET, SYNONYM, WIDER
from perception_contrast_training.household.rescoring.enlarged_regions import EnlargedRegions
from perception_contrast_training.household.rescoring.photo_regions import PhotoThing
from perception_contrast_training.household.rescoring.rescoring_batches import encoded_phrases
from perception_contrast_training.household.rescoring.rescoring_losses import RescoringBatch
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.words import Concept, phrase
from perception_contrast_training.photographs.base import PhotoRegion, SetFacts, TruthTable
from perception_contrast_training.photographs.naming import Naming, Truth


class PhotoRegionBatchMaker:
    """Draws batches from enlarged regions of photographs, where of some words nothing is known.

    Attributes:
        names: All names that regions are told apart by.
        rng: All that is drawn comes from it.
    """

    def __init__(
        self,
        things: EnlargedRegions[PhotoThing],
        naming: Naming,
        bank: SentenceBank,
        settings: RescoringBatchSettings,
        rng: np.random.Generator,
    ) -> None:
        """Draws the pool of phrases and the wordings of names, and encodes them by ``bank``."""
        self.rng = rng
        self._things, self._naming, self._settings = things, naming, settings
        met = Counter(one.region.name for one in things.objects)
        self.names = tuple(sorted(met))
        number = {name: index for index, name in enumerate(self.names)}
        rarity = np.array([met[one.region.name] ** -0.5 for one in things.objects])
        self._likely = rarity / rarity.sum()
        self._category = torch.tensor([number[one.region.name] for one in things.objects])
        nouns = self._pool(settings.pool)
        self._phrases = encoded_phrases(bank, [phrase(Concept(noun), rng) for noun in nouns])
        wordings = [phrase(Concept(self._word(n)), rng) for n in self.names for _ in range(settings.wordings)]
        self._wordings = encoded_phrases(bank, wordings).reshape(len(self.names), settings.wordings, -1)
        self._kind, self._truth, self._open = self._tables(nouns)

    def draw(self) -> RescoringBatch:
        """The next batch; rare names are met as often as the root of their number."""
        rng, settings = self.rng, self._settings
        rows = torch.from_numpy(rng.choice(len(self._things), settings.things, p=self._likely))
        phrases = torch.from_numpy(rng.integers(0, len(self._phrases), settings.phrases))
        kind, category = self._kind[rows], self._category[rows]
        return RescoringBatch(
            views=self._things.views(rows),
            category=category,
            names=self._wordings[:, int(rng.integers(settings.wordings))],
            phrases=self._phrases[phrases],
            truth=self._truth[kind, category][:, phrases].long(),
            open_names=self._open[kind, category],
        )

    def _pool(self, count: int) -> list[str]:
        """Nouns: half of them true of some region, the others names of the sets or of the list."""
        rng, objects = self.rng, self._things.objects
        chosen = rng.choice(len(objects), count // 2, p=self._likely)
        nouns = [self._true_word(objects[int(index)].region.name) for index in chosen]
        while len(nouns) < count:
            pool: Sequence[str] = self.names if rng.random() < OWN_SET else self._naming.names
            nouns.append(self._word(str(rng.choice(pool))))
        return nouns

    def _true_word(self, name: str) -> str:
        words = self._naming.true_words(name)
        return str(self.rng.choice(words)) if self.rng.random() < WIDER else self._word(name)

    def _word(self, name: str) -> str:
        """The name, or now and then a synonym."""
        synonyms = self._naming.synonyms(name)
        other = bool(synonyms) and self.rng.random() < SYNONYM
        return str(self.rng.choice(synonyms)) if other else name

    def _tables(self, nouns: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        """Number of each region's set; per set and name the truth of each noun, and the names left open."""
        sets: dict[str, SetFacts] = {one.facts.name: one.facts for one in self._things.objects}
        place = {name: index for index, name in enumerate(sets)}
        kind = torch.tensor([place[one.facts.name] for one in self._things.objects])
        distinct = sorted({*nouns, *self.names})
        column = {word: index for index, word in enumerate(distinct)}
        regions = [PhotoRegion(name) for name in self.names]
        truth = np.stack(
            [TruthTable(self._naming, facts).of_regions(regions, distinct)[1:] for facts in sets.values()]
        )
        of_nouns = torch.from_numpy(truth[:, :, [column[noun] for noun in nouns]])
        of_names = torch.from_numpy(truth[:, :, [column[name] for name in self.names]] != Truth.FALSE)
        return kind, of_nouns, of_names & ~torch.eye(len(self.names), dtype=torch.bool)
