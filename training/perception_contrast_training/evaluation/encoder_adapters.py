"""Any encoder that can be named, as an ``EncoderAdapter``: listed, of timm, exported, or at random start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.base import ImageEncoder
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.load_image_encoder import load_image_encoder
from perception_contrast.engines.export.export_check import random_dino
from perception_contrast.models.registry import model_spec
from perception_contrast.text.clip_text_encoder import ClipTextEncoder
from perception_contrast_training.evaluation.encoding import CPU, EncoderAdapter

RANDOM = "random:"


def encoder_adapter(name: str, *, offline: bool = False, device: torch.device = CPU) -> EncoderAdapter:
    """name: a model, a folder that ``train export`` wrote, or "random:" and a model for its start.

    Raises ModelError; PerceptionError for a model that is made of others.
    """
    spec = model_spec(name.removeprefix(RANDOM))
    if spec.family in ("lit", "text"):
        raise PerceptionError(f"'{name}' is made of other models; compare encoders of images, or CLIPs")
    random, size = name.startswith(RANDOM), _side(spec.size, spec.patch)
    if random and spec.spatial:
        return _adapter(random_dino(name.removeprefix(RANDOM)).to(device), name, size, device)
    if not random and (not spec.knows_words or spec.family == "student"):
        images = load_image_encoder(spec, offline=offline, device=str(device))
        return _adapter(images, spec.name, size, device)
    pair = load_clip(spec, offline=offline, device=str(device), random_init=random)
    adapter = _adapter(pair, name if random else spec.name, size, device)
    return replace(adapter, words=_texts_to_vectors(pair))


def _adapter(encoder: ImageEncoder, name: str, size: int, device: torch.device) -> EncoderAdapter:
    return EncoderAdapter(
        name,
        encoder.space,
        encoder.image_embedding,
        size,
        encoder.mean,
        encoder.std,
        device,
        encoder=encoder,
    )


def _texts_to_vectors(pair: ClipTower) -> Callable[[Sequence[str]], Tensor]:
    text = ClipTextEncoder(pair.of_images)

    def encode(texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(text.encode(list(texts)))

    return encode


def _side(size: int, patch: int) -> int:
    """Images of 224 pixels or the model's own if that is less; a multiple of the patch."""
    return max(patch, min(size, 224) // patch * patch)
