"""Small models at random initialisation, which need no download: what a node changes between."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import open_clip
import torch
from timm.models.vision_transformer import VisionTransformer

from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.load_encoders import ClipLanguage, Encoders
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.text.clip_text_encoder import ClipTextEncoder

NAMES = ("one-encoder", "two-encoders")
_WIDTH = 192


def build(**arguments: Any) -> Pipeline:
    """Stands in for ``pipeline.build``; ``model`` is one of NAMES."""
    torch.manual_seed(0)
    options = {name: arguments[name] for name in ("engine", "precision", "track_numbers")}
    return Pipeline(_encoders(arguments["model"]), arguments["settings"], **options)


def _encoders(name: str) -> Encoders:
    if name == "one-encoder":
        clip = _clip(name)
        return Encoders(clip, ClipLanguage(clip, ClipTextEncoder(clip)), "cpu")
    clip = _clip(name)
    return Encoders(_dino(name), ClipLanguage(clip, ClipTextEncoder(clip)), "cpu")


def _dino(pair: str) -> DinoTower:
    network = VisionTransformer(
        img_size=70, patch_size=14, embed_dim=_WIDTH, depth=4, num_heads=3, init_values=1.0, num_classes=0
    )
    spec = replace(model_spec("dinov2-s14"), dim=_WIDTH)
    return DinoTower(network, spec, f"{spec.name}@{pair}").eval().requires_grad_(False)


def _clip(pair: str) -> ClipTower:
    network = open_clip.CLIP(
        embed_dim=64,
        vision_cfg={"image_size": 64, "layers": 2, "width": _WIDTH, "patch_size": 16, "head_width": 64},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 4, "layers": 2},
    )
    spec = replace(model_spec("clip-vit-b16"), dim=64, size=64)
    return ClipTower(network, spec, f"{spec.name}@{pair}", method="stock").eval().requires_grad_(False)
