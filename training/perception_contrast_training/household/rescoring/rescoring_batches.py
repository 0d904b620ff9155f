"""Batches for a rescoring head: enlarged things, names, phrases, and which phrase is true of which thing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from perception_contrast_training.config.rescoring_recipe import RescoringBatchSettings
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.household.rescoring.concepts import TruthTable, draw_concepts
from perception_contrast_training.household.rescoring.enlarged_regions import RenderedRegions
from perception_contrast_training.household.rescoring.rescoring_losses import RescoringBatch
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.household.words import Concept, Words, phrase

ENCODED = 256  # phrases at once


class RescoringBatchMaker:
    """Draws batches from enlarged things.

    Attributes:
        names: All names that things are told apart by.
        rng: All that is drawn comes from it.
    """

    def __init__(
        self,
        things: RenderedRegions,
        bank: SentenceBank,
        settings: RescoringBatchSettings,
        seed: int,
    ) -> None:
        """Draws the pool of phrases and the wordings of names, and encodes them by ``bank``."""
        self.rng = np.random.default_rng(seed)
        self._things, self._settings, known = things, settings, Words()
        concepts = draw_concepts(things.objects, known, settings.pool, self.rng)
        self._truth = TruthTable(things.objects, concepts, known)
        self.names = self._truth.names
        self._phrases = encoded_phrases(bank, [phrase(c, self.rng) for c in concepts])
        wordings = [self._wording(name, known) for name in self.names for _ in range(settings.wordings)]
        self._wordings = encoded_phrases(bank, wordings).reshape(len(self.names), settings.wordings, -1)

    def _wording(self, name: str, words: Words) -> str:
        choices = (name, name, *words.synonyms.get(name, ()))
        return phrase(Concept(str(self.rng.choice(choices))), self.rng)

    def draw(self) -> RescoringBatch:
        """The next batch."""
        rng, settings = self.rng, self._settings
        things = torch.from_numpy(rng.integers(0, len(self._things), settings.things))
        phrases = torch.from_numpy(rng.integers(0, len(self._phrases), settings.phrases))
        return RescoringBatch(
            views=self._things.views(things),
            category=self._truth.category[things],
            names=self._wordings[:, int(rng.integers(settings.wordings))],
            phrases=self._phrases[phrases],
            truth=self._truth.of(things, phrases),
        )


def encoded_phrases(bank: SentenceBank, phrases: Sequence[str]) -> Tensor:
    """(n, c) float32 unit sentence vectors, with a progress bar."""
    starts = range(0, len(phrases), ENCODED)
    rows = [bank.vectors(phrases[i : i + ENCODED]) for i in tracked(starts, "encoding phrases", len(starts))]
    return torch.cat(rows)
