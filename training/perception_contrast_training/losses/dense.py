"""Losses on grids of logits against exact masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(
    logits: Tensor, target: Tensor, weight: Tensor, focus: float = 1.0, overlap: float = 0.5
) -> Tensor:
    """Binary cross-entropy weighted by |p - t|^focus (Lin et al., focal loss, 2017) plus a soft Dice term.

    logits, target, weight: (b, q, n): images, phrases, cells; target in [0, 1]; weight 0 leaves a
    cell out. Every phrase counts alike whatever its size. Dice is over phrases that are present.
    """
    probability = logits.sigmoid()
    hard = (probability.detach() - target).abs() ** focus
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * weight * hard
    positive = (entropy * target).sum(-1) / (target * weight).sum(-1).clamp_min(1.0)
    negative = (entropy * (1 - target)).sum(-1) / ((1 - target) * weight).sum(-1).clamp_min(1.0)
    area = (target * weight).sum(-1)
    present = area > 0.5
    common = (probability * target * weight).sum(-1)
    union = (probability * weight).sum(-1) + area
    dice = 1 - (2 * common + 1) / (union + 1)
    if not bool(present.any()):
        return 8.0 * negative.mean()
    return positive[present].mean() + 8.0 * negative.mean() + overlap * dice[present].mean()


def presence_loss(logits: Tensor, present: Tensor, known: Tensor, top: int = 8) -> Tensor:
    """Is it in the image at all? Cross-entropy on the mean of the strongest cells.

    logits: (b, q, n). present: (b, q) in {0, 1}. known: (b, q) bool, others count nothing.
    """
    strongest = logits.topk(min(top, logits.shape[-1]), dim=-1).values.mean(-1)
    entropy = F.binary_cross_entropy_with_logits(strongest, present, reduction="none")
    parts = [entropy[known & (present > v)] if v else entropy[known & (present <= v)] for v in (0.5, 0.0)]
    means = [part.mean() for part in parts if len(part)]
    return torch.stack(means).mean() if means else logits.new_zeros(())


def category_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of cells over category names. logits (n, k); target (n,) int64, -1 none; weight (n,)."""
    known = (target >= 0) & (weight > 0)
    if not bool(known.any()):
        return logits.new_zeros(())
    entropy = F.cross_entropy(logits[known], target[known], reduction="none")
    return (entropy * weight[known]).sum() / weight[known].sum()


def thing_loss(
    prediction: Tensor, offset: Tensor, log_radius: Tensor, edge: Tensor, weight: Tensor
) -> Tensor:
    """Where the middle of a cell's thing is, how large the thing is, and whether the cell lies at its edge.

    After the centre offsets of Panoptic-DeepLab (Cheng et al., CVPR 2020), in radii of the thing so that
    things of all sizes count alike. prediction (b, h, w, 4); offset (b, h, w, 2) in radii; log_radius and
    edge in {0, 1} (b, h, w); weight (b, h, w), 0 for cells of no thing.
    """
    total = weight.sum().clamp_min(1.0)
    towards = F.smooth_l1_loss(prediction[..., :2], offset, reduction="none", beta=0.2).sum(-1)
    size = F.smooth_l1_loss(prediction[..., 2], log_radius, reduction="none", beta=0.2)
    border = F.binary_cross_entropy_with_logits(prediction[..., 3], edge, reduction="none")
    return ((towards + 0.5 * size + 0.5 * border) * weight).sum() / total
