"""Mask logits of the SAM family to one mask for each box."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from perception_contrast.core.arrays import BoolMask, FloatArray, Size
from perception_contrast.core.errors import ModelError
from perception_contrast.images.resize import resize_image
from perception_contrast.segmentation.sam.base import ProposedMasks
from perception_contrast.segmentation.sam.onnx_model import OnnxModel


class ScoredMask(NamedTuple):
    """A mask (H, W) bool and the IoU that the model predicts for it."""

    mask: BoolMask
    quality: float


def best_masks(
    model: OnnxModel, logits: FloatArray, quality: FloatArray, logit_size: Size, image_size: Size
) -> list[ScoredMask]:
    """Of each box the candidate of the highest predicted quality.

    Args:
        model: that gave the logits, for errors.
        logits: (1, n, k, h, w) of n boxes with k candidates each.
        quality: (1, n, k).
        logit_size: (h, w) that the logits must have.
        image_size: (height, width) of the masks.

    Raises:
        ModelError: the shapes are others, so the file is another export.
    """
    if logits.ndim != 5 or logits.shape[3:] != logit_size or quality.shape != logits.shape[:3]:
        raise ModelError(
            f"{model.path} gave masks of shape {logits.shape} with qualities of shape {quality.shape} for a "
            f"image of {logit_size[1]}x{logit_size[0]}; it is another export than the known ones"
        )
    chosen = quality[0].argmax(axis=1)
    return [
        ScoredMask(
            resize_image(np.asarray(candidates[best], np.float32), image_size) > 0.0, float(predicted[best])
        )
        for candidates, predicted, best in zip(logits[0], quality[0], chosen, strict=True)
    ]


def stack_masks(masks: Sequence[ScoredMask], image_size: Size) -> ProposedMasks:
    """Masks of n boxes as arrays."""
    stacked = np.zeros((len(masks), *image_size), np.bool_)
    for row, one in zip(stacked, masks, strict=True):
        row[:] = one.mask
    return ProposedMasks(stacked, np.array([one.quality for one in masks], np.float32))
