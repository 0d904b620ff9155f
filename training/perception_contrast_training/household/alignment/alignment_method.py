"""Locked-image, locked-text dense alignment as a learning method of the common trainer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.encoders.alignment_head import AlignmentHead
from perception_contrast_training.household.alignment.alignment_losses import (
    LossWeights,
    TextVectors,
    alignment_losses,
)
from perception_contrast_training.household.alignment.dense_batches import DenseBatch
from perception_contrast_training.household.sentences import SentenceBank
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import each_parameter

MAX_LOG_SCALE = math.log(100.0)


class DenseAlignment(nn.Module):
    """Fits an alignment head to exact masks and their words, after LiT (Zhai et al., CVPR 2022).

    Image and sentence towers stay as they are: a batch holds their outputs. A batch is ``DenseBatch`` by
    the names of its fields.
    """

    def __init__(
        self, head: AlignmentHead, bank: SentenceBank, weights: LossWeights, text_noise: float = 0.0
    ) -> None:
        """Takes a head to fit.

        Args:
            head: Its parameters that require a gradient are fitted.
            bank: Encodes phrases.
            weights: Of the loss's terms; those of weight 0 are not computed.
            text_noise: Standard deviation of the noise added to sentence vectors.
        """
        super().__init__()
        self.head = head
        self._bank, self._noise = bank, text_noise
        self._weights = {name: weight for name, weight in asdict(weights).items() if weight}

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        """Weighted sum of the terms, which are given unweighted."""
        dense = DenseBatch(**cast(Mapping[str, Any], batch))
        found = alignment_losses(self.head, dense, self._text(dense), self._weights)
        terms = {name: value.float() for name, value in found.items()}
        total = torch.stack([self._weights[name] * value for name, value in terms.items()]).sum()
        return Losses(total, {name: value.detach() for name, value in terms.items()})

    def groups(self) -> Iterable[Group]:
        """Vectors and scalars do not decay."""
        return each_parameter(self.head)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out of a step."""

    @torch.no_grad()
    def after_step(self, progress: Progress) -> None:
        """Holds the scale of logits within [1, 100], as CLIP does."""
        self.head.log_scale.clamp_(0.0, MAX_LOG_SCALE)

    def exported(self) -> nn.Module:
        """The head."""
        return self.head

    def _text(self, batch: DenseBatch) -> TextVectors:
        return TextVectors(
            self._vectors(batch.phrases), self._vectors(batch.category_words), self._vectors(batch.captions)
        )

    def _vectors(self, sentences: Sequence[str]) -> Tensor:
        rows = self._bank.vectors(sentences)
        return F.normalize(rows + self._noise * torch.randn_like(rows), dim=-1)
