"""The rescoring head as a learning method of the common trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.encoders.rescoring_head import RescoringHead
from perception_contrast_training.household.rescoring.rescoring_losses import (
    RescoringBatch,
    RescoringLoss,
    rescoring_losses,
)
from perception_contrast_training.household.rescoring.word_space import WordSpace
from perception_contrast_training.losses.full_precision import full_precision
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import each_parameter

MAX_LOG_SCALE = math.log(100.0)


class CropRescoring(nn.Module):
    """Fits a rescoring head to name enlarged regions in the space of words of an alignment head.

    A batch is ``RescoringBatch`` by the names of its fields. ``nothing`` is fitted beside the head: the
    vector that stands for no name at all.
    """

    def __init__(
        self, head: RescoringHead, words: WordSpace, weights: RescoringLoss, text_noise: float = 0.0
    ) -> None:
        """Takes a head to fit.

        Args:
            head: All of it is fitted.
            words: The space of words, which stays as it is.
            weights: Of the loss's terms.
            text_noise: Standard deviation of the noise added to sentence vectors.
        """
        super().__init__()
        self.head = head
        self.nothing = nn.Parameter(F.normalize(torch.randn(head.config.dim), dim=0))
        self._words, self._weights, self._noise = words, weights, text_noise

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        """Weighted sum of the terms, which are given unweighted. The head alone runs in half precision."""
        crops = RescoringBatch(**cast(Mapping[str, Any], batch))
        with full_precision(crops.phrases):
            phrases, names = self._embedded(crops.phrases), self._embedded(crops.names)
        vectors = self.head(crops.views)
        weights = self._weights
        with full_precision(crops.phrases):
            terms = rescoring_losses(self.head, vectors, crops, names, self.nothing, phrases, weights.absent)
            total = weights.name * terms["name"] + weights.phrase * terms["phrase"]
        return Losses(total, {name: value.detach() for name, value in terms.items()})

    def groups(self) -> Iterable[Group]:
        """Vectors and scalars do not decay; ``nothing`` is not clipped with the head."""
        yield from each_parameter(self.head)
        yield Group("nothing", [self.nothing], decay=0.0, clip=False)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out of a step."""

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Holds the scale of logits within [1, 100], as CLIP does."""
        self.head.log_scale.clamp_(0.0, MAX_LOG_SCALE)

    def exported(self) -> nn.Module:
        """The head."""
        return self.head

    def _embedded(self, sentences: Tensor) -> Tensor:
        noise = self._noise * torch.randn_like(sentences)
        with torch.no_grad():
            return self._words.head.text_embedding(F.normalize(sentences + noise, dim=-1))
