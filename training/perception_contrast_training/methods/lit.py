"""LiT (Zhai et al., "LiT: Zero-Shot Transfer with Locked-image text Tuning", CVPR 2022).

CLIP whose image tower stays as it is, in evaluation mode and without gradients; also of a model's own pair.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from perception_contrast_training.methods import clip
from perception_contrast_training.methods.clip import Clip, ClipSettings, own_clip
from perception_contrast_training.methods.contrastive_batch import TABLE
from perception_contrast_training.methods.pairs import Pair, require_unsaid
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.text import TextSettings, make_text
from perception_contrast_training.networks.two_towers import Network, TwoTowers
from perception_contrast_training.views.captioned import CaptionedViewSettings


@dataclass(frozen=True)
class LitSettings:
    """image_head: whether images get a linear layer that learns; without one, texts learn to meet the
    backbone's own vectors, as published. dim: of the space with such a layer, 0 for the backbone's."""

    dim: int = 0
    image_head: bool = False
    temperature: float = 0.07
    most_scale: float = 100.0
    table: int = TABLE
    text: TextSettings = field(default_factory=TextSettings)
    views: CaptionedViewSettings = field(default_factory=CaptionedViewSettings)


def make_lit(backbone: Network, settings: LitSettings) -> Clip:
    """Batch: as ``Pair``; image may be the backbone's vectors (n, c), made once and kept."""
    if isinstance(backbone, TwoTowers):
        require_unsaid(settings, "dim", "image_head", "temperature")
        own = ClipSettings(most_scale=settings.most_scale, table=settings.table)
        return own_clip(backbone, own, "lit")
    dim = (settings.dim or backbone.dim) if settings.image_head else backbone.dim
    text = make_text(settings.text, dim)
    pair = Pair(backbone, text, dim, head=settings.image_head, locked=True)
    return Clip(
        pair,
        ClipSettings(
            dim=dim,
            temperature=settings.temperature,
            most_scale=settings.most_scale,
            table=settings.table,
        ),
    )


def fit_to_data(settings: LitSettings, scale: Scale) -> tuple[LitSettings, list[str]]:
    """A smaller text tower for fewer pairs."""
    smaller, sentences = clip.fit_to_data(ClipSettings(text=settings.text), scale)
    return replace(settings, text=smaller.text), sentences
