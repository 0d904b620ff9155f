"""Tiny models for tests: random towers, and a tower that knows colours, with words for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import open_clip
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from perception_contrast.encoders.alignment_head import AlignmentConfig, AlignmentHead
from perception_contrast.encoders.base import EncoderOutput, ImageEncoder, LanguageModel, Role
from perception_contrast.encoders.clip import ClipTower
from perception_contrast.encoders.dinov2 import DinoTower
from perception_contrast.encoders.household_lit import HouseholdLit
from perception_contrast.encoders.load_encoders import ClipLanguage, Encoders
from perception_contrast.models.logit_scale import LogitScale
from perception_contrast.models.registry import model_spec
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast.text.base import TextEncoder
from perception_contrast.text.clip_text_encoder import ClipTextEncoder

WIDTH, TEXT, SHARED = 24, 12, 10
COLOUR_DIM = 5
WORDS = {
    "red": (1, -1, -1),
    "green": (-1, 1, -1),
    "blue": (-1, -1, 1),
    "grey": (0, 0, 0),
    "yellow": (1, 1, -1),
}


class Sentences(TextEncoder):
    """A text tower: a vector that follows from the phrase's bytes."""

    model, space, dim, wording = "sentences", "sentences@1", TEXT, ""

    def canonical(self, text: str) -> str:
        return text.lower()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(list(t.lower().encode())).standard_normal(TEXT) for t in texts]
        stacked = np.array(rows, np.float32).reshape(-1, TEXT)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


def small_dino() -> DinoTower:
    torch.manual_seed(0)
    vit = VisionTransformer(
        img_size=70, patch_size=14, embed_dim=WIDTH, depth=4, num_heads=2, init_values=1.0, num_classes=0
    )
    spec = replace(model_spec("dinov2-s14"), dim=WIDTH)
    return DinoTower(vit, spec, "dinov2-s14@small").eval().requires_grad_(False)


def small_lit(tower: DinoTower) -> HouseholdLit:
    torch.manual_seed(1)
    config = AlignmentConfig(
        layers=(1, 3), image_dim=WIDTH, text_dim=TEXT, width=16, fine_width=8, dim=SHARED, blocks=1
    )
    lit = HouseholdLit(tower, AlignmentHead(config), Sentences(), "household-lit@small")
    with torch.no_grad():
        lit.head.bias.fill_(0.0)
    return lit.eval().requires_grad_(False)


def small_clip(method: str = "auto") -> ClipTower:
    torch.manual_seed(2)
    network = open_clip.CLIP(
        embed_dim=32,
        vision_cfg={"image_size": 64, "layers": 2, "width": 64, "patch_size": 16, "head_width": 16},
        text_cfg={"context_length": 77, "vocab_size": 49408, "width": 48, "heads": 4, "layers": 2},
    )
    spec = replace(model_spec("clip-vit-b16"), dim=32, size=64)
    return ClipTower(network, spec, "clip-vit-b16@small", method=method).eval().requires_grad_(False)


class ColourEncoder(nn.Module, ImageEncoder):
    """Feature of a patch: the direction of its mean colour from grey, a constant, and 0 of what no image
    shows.
    """

    model, family, space, dim, patch, method = "colours", "clip", "colours@1", COLOUR_DIM, 14, "stock"
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    @property
    def outputs(self) -> tuple[EncoderOutput, ...]:
        return (
            EncoderOutput("dense", (Role.SPATIAL, Role.LANGUAGE), self.space, unit=True),
            EncoderOutput("image", (Role.SPATIAL_POOLED, Role.LANGUAGE_POOLED), self.space, unit=True),
        )

    def encode(self, images: Tensor, layers: Sequence[int] = ()) -> tuple[Tensor, ...]:
        mean = torch.nn.functional.avg_pool2d(images, self.patch)
        constant = torch.full_like(mean[:, :1], 0.1)
        cells = torch.cat([mean, constant, torch.zeros_like(constant)], 1).permute(0, 2, 3, 1)
        unit = torch.nn.functional.normalize(cells, dim=-1)
        return unit, torch.nn.functional.normalize(cells.mean(dim=(1, 2)), dim=-1)


class ColourWords(TextEncoder):
    model, space, dim, wording = "colours", "colours@1", COLOUR_DIM, ""

    def canonical(self, text: str) -> str:
        return text

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Colours of WORDS; any other word has a dimension of its own, which no image shows."""
        rows = [(*WORDS[t], 0.1, 0.0) if t in WORDS else (0.0, 0.0, 0.0, 0.0, 1.0) for t in texts]
        stacked = np.array(rows, np.float32).reshape(-1, COLOUR_DIM)
        return stacked / np.linalg.norm(stacked, axis=1, keepdims=True)


class ColourLanguage(LanguageModel):
    model, space, dim = ColourEncoder.model, ColourEncoder.space, COLOUR_DIM
    logit_scale = LogitScale(10.0)

    def __init__(self) -> None:
        self.text, self.image_encoder = ColourWords(), ColourEncoder()


@cache
def encoders_of(kind: str) -> Encoders:
    """kind: "lit" (one shared pass), "apart" and "proxied" (dino and clip by naclip and by proxyclip),
    "clip" (one for both), "none", "colours".
    """
    if kind == "colours":
        return Encoders(small_dino(), ColourLanguage(), "cpu")
    if kind == "clip":
        clip = small_clip()
        return Encoders(clip, ClipLanguage(clip, ClipTextEncoder(clip)), "cpu")
    dino = small_dino()
    if kind == "none":
        return Encoders(dino, None, "cpu")
    if kind in ("apart", "proxied"):
        clip = small_clip("proxyclip" if kind == "proxied" else "naclip")
        return Encoders(dino, ClipLanguage(clip, ClipTextEncoder(clip)), "cpu")
    return Encoders(dino, small_lit(dino), "cpu")


def pipeline_of(kind: str, **settings: object) -> Pipeline:
    return Pipeline(encoders_of(kind), PipelineSettings(**{"short_side": 56, "max_tokens": 64, **settings}))
