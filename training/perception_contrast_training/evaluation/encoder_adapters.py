"""Any encoder that can be named, as an ``EncoderAdapter``: listed, of timm, exported, or at random start."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.clip import ClipTower, load_clip
from perception_contrast.encoders.dinov2 import DinoTower, load_dino
from perception_contrast.engines.export.export_check import random_tower
from perception_contrast.models.registry import model_spec
from perception_contrast.text.clip_text import ClipTextTower
from perception_contrast_training.evaluation.encoding import CPU, EncoderAdapter

RANDOM = "random:"


def encoder_adapter(name: str, *, offline: bool = False, device: torch.device = CPU) -> EncoderAdapter:
    """name: a model, a folder that ``train export`` wrote, or "random:" and a model for its start.

    Raises ModelError; PerceptionError for a model that is made of others.
    """
    spec = model_spec(name.removeprefix(RANDOM))
    if spec.family in ("lit", "text"):
        raise PerceptionError(f"'{name}' is made of other models; compare encoders of images, or CLIPs")
    tower: DinoTower | ClipTower
    if name.startswith(RANDOM):
        tower = random_tower(name.removeprefix(RANDOM)).to(device)
    elif not spec.knows_words:
        tower = load_dino(spec, offline=offline, device=str(device))
    else:
        tower = load_clip(spec, offline=offline, device=str(device))
    return _tower_adapter(
        tower, name if name.startswith(RANDOM) else spec.name, _side(spec.size, spec.patch), device
    )


def _tower_adapter(
    tower: DinoTower | ClipTower, name: str, size: int, device: torch.device
) -> EncoderAdapter:
    if isinstance(tower, ClipTower):
        text = ClipTextTower(tower)

        def words(texts: Sequence[str]) -> Tensor:
            return torch.from_numpy(text.encode(list(texts)))

        return EncoderAdapter(
            name, tower.space, tower.image_embedding, size, tower.mean, tower.std, device, words, tower
        )
    dino = tower

    def pooled(images: Tensor) -> Tensor:
        cls: Tensor = dino(images).cls
        return cls

    return EncoderAdapter(name, tower.space, pooled, size, tower.mean, tower.std, device, tower=tower)


def _side(size: int, patch: int) -> int:
    """Images of 224 pixels or the model's own if that is less; a multiple of the patch."""
    return max(patch, min(size, 224) // patch * patch)
