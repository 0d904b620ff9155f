"""Encoders of the registry by name, kept loaded in the process that computes vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from perception_contrast.core.errors import ModelError
from perception_contrast.models.registry import model_spec
from perception_contrast_studio.tasks.encoders.encoder_models import is_here
from perception_contrast_studio.tasks.encoders.image_encoders import encode_words, load_image_side
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.evaluation.encoding import EncoderAdapter, fitted

AT_ONCE = 16  # images in one pass


@lru_cache(1)
def encoder(name: str) -> EncoderAdapter:
    """An encoder whose weights are on this machine. Raises ModelError that says how to fetch them."""
    if not is_here(model_spec(name)):
        raise ModelError(
            f"the weights of '{name}' are not on this machine; fetch them with "
            f"`perception-contrast models get {name}`, or choose an encoder that is there"
        )
    return load_image_side(name, offline=True)


def image_vectors(name: str, images: Sequence[Tensor], report: Report) -> Tensor:
    """(n, c) float32 of images (3, h, w), uint8 or float in [0, 1], of any sizes.

    Raises:
        ModelError: The encoder is not there.
    """
    report(0.0, f"loading {name}")
    chosen = encoder(name)
    parts = []
    for first in range(0, len(images), AT_ONCE):
        report(first / len(images), f"{name}: image {first} of {len(images)}")
        some = [_fitted(one, chosen) for one in images[first : first + AT_ONCE]]
        with torch.inference_mode():
            parts.append(chosen.network(torch.stack(some)).float().cpu())
    return torch.cat(parts).clone()


def _fitted(image: Tensor, chosen: EncoderAdapter) -> Tensor:
    levels = image * 255.0 if image.is_floating_point() else image
    return fitted(levels, chosen.size, chosen.mean, chosen.std)


def text_vectors(name: str, texts: Sequence[str], report: Report) -> Tensor:
    """(n, c) float32 of texts, in the space of the encoder's images. Raises ModelError."""
    return torch.from_numpy(encode_words(report, texts, name, encoder(name).space))
