"""What one step of a zoom head computes: names against each other, and phrases for and against.

The names as in supervised classification by words (LiT, Zhai et al., CVPR 2022, with one text a class),
the phrases by sigmoids as in SigLIP (Zhai et al., ICCV 2023), with as much weight on the few that are true.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from perception_contrast.encoders.rescoring_head import Pooled, RescoringHead


@dataclass(frozen=True)
class RescoringLoss:
    """Weights of the terms; absent: of phrases that are false, within their term."""

    name: float = 1.0
    phrase: float = 0.5
    absent: float = 8.0


@dataclass(frozen=True)
class RescoringBatch:
    """n things, k names, q phrases.

    category (n,) int64: the thing's name, k for nothing in particular. names (k, c) and phrases (q, c):
    sentence vectors, unit rows. truth (n, q) in {-1, 0, 1}. open_names (n, k) bool: names that the thing
    may have beside its own, and which are therefore no rivals of it; None: each thing has one name.
    """

    views: Pooled
    category: Tensor
    names: Tensor
    phrases: Tensor
    truth: Tensor
    open_names: Tensor | None = None


def name_loss(cosine: Tensor, scale: Tensor, category: Tensor, open_names: Tensor | None = None) -> Tensor:
    """Cross-entropy over names and nothing.

    Args:
        cosine: (n, k + 1), the last with what stands for no name.
        scale: Of cosines.
        category: (n,) int64.
        open_names: (n, k) bool, names that do not count.
    """
    logits = scale * cosine.float()
    if open_names is not None:
        logits = logits.masked_fill(F.pad(open_names, (0, 1)), -torch.inf)
    return F.cross_entropy(logits, category)


def phrase_loss(logits: Tensor, truth: Tensor, absent: float) -> Tensor:
    """Mean cross-entropy of what is true plus ``absent`` times that of what is false. (n, q) both.

    Where truth is -1 nothing is known, and nothing counts.
    """
    entropy = F.binary_cross_entropy_with_logits(
        logits, truth.clamp_min(0).to(logits.dtype), reduction="none"
    )
    true, false = (truth == 1).to(logits.dtype), (truth == 0).to(logits.dtype)
    positive = (entropy * true).sum() / true.sum().clamp_min(1.0)
    negative = (entropy * false).sum() / false.sum().clamp_min(1.0)
    return positive + absent * negative


def rescoring_losses(
    head: RescoringHead,
    vectors: Tensor,
    batch: RescoringBatch,
    names: Tensor,
    nothing: Tensor,
    phrases: Tensor,
    absent: float,
) -> dict[str, Tensor]:
    """The terms by name, unweighted. vectors (n, d): of the views; names (k, d) and phrases (q, d): of the
    words, unit rows; nothing (d,): what stands for no name at all."""  # fmt: skip
    known = torch.cat([names, F.normalize(nothing, dim=0)[None]])
    return {
        "name": name_loss(vectors @ known.T, head.log_scale.exp(), batch.category, batch.open_names),
        "phrase": phrase_loss(head.logits(vectors @ phrases.T), batch.truth, absent),
    }
