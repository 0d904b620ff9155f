"""Losses: pure functions, tensors in, scalar out."""

from .contrastive import clip_loss, multi_positive_loss
from .dense import category_loss, mask_loss, presence_loss, thing_loss

__all__ = [
    "category_loss",
    "clip_loss",
    "mask_loss",
    "multi_positive_loss",
    "presence_loss",
    "thing_loss",
]
