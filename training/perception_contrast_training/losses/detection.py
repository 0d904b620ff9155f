"""Losses of a detection head: focal loss (Lin et al., ICCV 2017) and GIoU (Rezatofighi et al., CVPR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

ALPHA, GAMMA = 0.25, 2.0


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = ALPHA, gamma: float = GAMMA) -> Tensor:
    """The focal loss of each element; what is easy hardly counts.

    Args:
        logits: Of any shape.
        targets: Of the same shape, 0 or 1.
        alpha: Weight of the ones; that of the zeros is the rest.
        gamma: Power by which what is easy is taken back.

    Returns:
        The loss of each element, without a mean.
    """
    share = logits.sigmoid()
    wrong = share + targets - 2 * share * targets
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return weight * wrong.pow(gamma) * loss


def box_iou_pairs(first: Tensor, second: Tensor) -> Tensor:
    """(n,) IoU of box i with box i, of boxes (n, 4) x0, y0, x1, y1."""
    low = torch.maximum(first[:, :2], second[:, :2])
    high = torch.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clamp_min(0.0).prod(dim=1)
    union = _areas(first) + _areas(second) - shared
    return shared / union.clamp_min(1e-7)


def giou_loss(first: Tensor, second: Tensor) -> Tensor:
    """(n,) 1 - GIoU of box i with box i, of boxes (n, 4) x0, y0, x1, y1."""
    hull = (torch.maximum(first[:, 2:], second[:, 2:]) - torch.minimum(first[:, :2], second[:, :2])).prod(
        dim=1
    )
    iou = box_iou_pairs(first, second)
    # The union follows from both: union = (a + b) / (1 + IoU).
    union = (_areas(first) + _areas(second)) / (1.0 + iou)
    return 1.0 - iou + (hull - union) / hull.clamp_min(1e-7)


def _areas(boxes: Tensor) -> Tensor:
    return (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
