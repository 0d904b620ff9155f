"""Losses: pure functions, tensors in, scalar out."""

from perception_contrast_training.losses.contrastive import clip_loss, multi_positive_loss, sigmoid_loss
from perception_contrast_training.losses.dense import category_loss, mask_loss, presence_loss, thing_loss
from perception_contrast_training.losses.pixels import mae_loss
from perception_contrast_training.losses.views import (
    byol_loss,
    dino_loss,
    ibot_loss,
    koleo_loss,
    nt_xent,
    patch_entropy,
    sharpened,
    sinkhorn_knopp,
    view_entropy,
)

__all__ = [
    "byol_loss",
    "category_loss",
    "clip_loss",
    "dino_loss",
    "ibot_loss",
    "koleo_loss",
    "mae_loss",
    "mask_loss",
    "multi_positive_loss",
    "nt_xent",
    "patch_entropy",
    "presence_loss",
    "sharpened",
    "sigmoid_loss",
    "sinkhorn_knopp",
    "thing_loss",
    "view_entropy",
]
