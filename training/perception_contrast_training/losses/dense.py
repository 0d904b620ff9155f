"""Losses on grids of logits against exact masks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_loss(
    logits: Tensor, target: Tensor, weight: Tensor, focus: float = 1.0, overlap: float = 0.5
) -> Tensor:
    """Binary cross-entropy weighted by |p - t|^focus, plus a soft Dice term.

    Every phrase counts the same, whatever its size. Dice is over phrases that are present.

    Args:
        logits: (b, q, n) for images, phrases and cells.
        target: (b, q, n) in [0, 1].
        weight: (b, q, n); 0 leaves a cell out.
        focus: Exponent of the weight of hard cells.
        overlap: Factor of the Dice term.

    Returns:
        () loss.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017; Milletari et al., "V-Net", 3DV
    2016.
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
    """Cross-entropy of whether a phrase is in the image at all, on the mean of its strongest cells.

    Args:
        logits: (b, q, n) for images, phrases and cells.
        present: (b, q) in {0, 1}.
        known: (b, q) bool; a pair that is not known does not count.
        top: Number of strongest cells.

    Returns:
        () loss; present and absent pairs count the same.
    """
    strongest = logits.topk(min(top, logits.shape[-1]), dim=-1).values.mean(-1)
    entropy = F.binary_cross_entropy_with_logits(strongest, present, reduction="none")
    parts = [entropy[known & (present > v)] if v else entropy[known & (present <= v)] for v in (0.5, 0.0)]
    means = [part.mean() for part in parts if len(part)]
    return torch.stack(means).mean() if means else logits.new_zeros(())


def category_loss(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy of cells over category names.

    Args:
        logits: (n, k) for cells and categories.
        target: (n,) int64; -1 for no category.
        weight: (n,) weight of each cell.

    Returns:
        () loss; zero if no cell counts.
    """
    known = (target >= 0) & (weight > 0)
    if not bool(known.any()):
        return logits.new_zeros(())
    entropy = F.cross_entropy(logits[known], target[known], reduction="none")
    return (entropy * weight[known]).sum() / weight[known].sum()


def thing_loss(
    prediction: Tensor, offset: Tensor, log_radius: Tensor, edge: Tensor, weight: Tensor
) -> Tensor:
    """Loss of the centre of a cell's object, the object's size, and whether the cell lies at its edge.

    Offsets are in radii of the object, so that objects of all sizes count the same.

    Args:
        prediction: (b, h, w, 4): offset (2), logarithm of the radius, logit of the edge.
        offset: (b, h, w, 2) from the cell to the object's centre, in radii of the object.
        log_radius: (b, h, w).
        edge: (b, h, w) in {0, 1}.
        weight: (b, h, w), 0 for cells of no object.

    Returns:
        () loss, mean over weighted cells.

    Source: centre offsets after Cheng et al., "Panoptic-DeepLab", CVPR 2020.
    """
    total = weight.sum().clamp_min(1.0)
    towards = F.smooth_l1_loss(prediction[..., :2], offset, reduction="none", beta=0.2).sum(-1)
    size = F.smooth_l1_loss(prediction[..., 2], log_radius, reduction="none", beta=0.2)
    border = F.binary_cross_entropy_with_logits(prediction[..., 3], edge, reduction="none")
    return ((towards + 0.5 * size + 0.5 * border) * weight).sum() / total
