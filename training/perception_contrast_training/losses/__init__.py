"""Losses, a file each under its paper's name: pure functions, tensors in, a scalar out."""

from perception_contrast_training.losses.byol import byol_loss
from perception_contrast_training.losses.clip import clip_loss
from perception_contrast_training.losses.dense import category_loss, mask_loss, presence_loss, thing_loss
from perception_contrast_training.losses.dino import dino_loss, sharpened, view_cross_entropy
from perception_contrast_training.losses.ibot import ibot_loss, patch_cross_entropy
from perception_contrast_training.losses.koleo import koleo_loss
from perception_contrast_training.losses.mae import mae_loss
from perception_contrast_training.losses.ntxent import nt_xent
from perception_contrast_training.losses.siglip import sigmoid_loss
from perception_contrast_training.losses.sinkhorn import sinkhorn_knopp
from perception_contrast_training.losses.supcon import supervised_contrastive_loss

__all__ = [
    "byol_loss",
    "category_loss",
    "clip_loss",
    "dino_loss",
    "ibot_loss",
    "koleo_loss",
    "mae_loss",
    "mask_loss",
    "nt_xent",
    "patch_cross_entropy",
    "presence_loss",
    "sharpened",
    "sigmoid_loss",
    "sinkhorn_knopp",
    "supervised_contrastive_loss",
    "thing_loss",
    "view_cross_entropy",
]
