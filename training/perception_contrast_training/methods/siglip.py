"""SigLIP (Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from perception_contrast_training.engine import gather
from perception_contrast_training.losses.full_precision import full_precision
from perception_contrast_training.losses.siglip import sigmoid_loss
from perception_contrast_training.methods import clip
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.contrastive_batch import (
    TABLE,
    batch_loss,
    negatives_of,
    rows_at_once,
    watched_negatives,
)
from perception_contrast_training.methods.pairs import (
    OwnPair,
    Pair,
    Towers,
    log_scale,
    require_unsaid,
    watched,
)
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import Scale, change_sentence
from perception_contrast_training.networks.text import TextSettings, make_text
from perception_contrast_training.networks.two_towers import Network, TwoTowers
from perception_contrast_training.views.captioned import CaptionedViewSettings

LARGE_BATCH = 8192


@dataclass(frozen=True)
class SiglipSettings:
    """scale, bias: at the start, both learned. dim: of the space where both meet. table: numbers
    that the table of a comparison may hold at once."""

    dim: int = 768
    scale: float = 10.0
    bias: float = -10.0
    table: int = TABLE
    layer_decay: float = 1.0
    text: TextSettings = field(default_factory=TextSettings)
    views: CaptionedViewSettings = field(default_factory=CaptionedViewSettings)


class Siglip(nn.Module):
    """Of every image and text it is told whether they belong together. Batch: as ``Pair``."""

    def __init__(self, pair: Towers, settings: SiglipSettings) -> None:
        super().__init__()
        self.settings = settings
        self.pair = pair
        self.log_scale = log_scale(settings.scale)
        self.bias = nn.Parameter(torch.tensor(settings.bias))

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """As ``Towers.embed``."""
        return self.pair.embed(batch)

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        image, text = embedded["image"], embedded["text"]
        with full_precision(image):
            # Each process takes its texts' columns, in chunks: no one holds the table of all.
            rows = gather.own_rows(len(text))
            chunk = rows_at_once(self.settings.table, len(image))
            negatives, scale = negatives_of(embedded, 1), self.log_scale.exp()
            part = sigmoid_loss(image, text, scale, self.bias, chunk, rows, negatives=negatives)
            total = gather.total_loss(part)
            seen = watched_negatives(image, text, negatives, self.settings.table)
        parts = {"siglip": total.detach(), "scale": self.log_scale.detach().exp(), "bias": self.bias.detach()}
        return Losses(total, parts, watched(embedded) | seen)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        parts: dict[str, nn.Module | nn.Parameter] = {
            **self.pair.parts(),
            "log_scale": self.log_scale,
            "bias": self.bias,
        }
        return grouped(parts, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Network:
        """As ``Clip.exported``."""
        return self.pair.backbone


def make_siglip(network: Network, settings: SiglipSettings) -> Siglip:
    """Raises RecipeError for a model of images and words that another loss trained."""
    if not isinstance(network, TwoTowers):
        return Siglip(Pair(network, make_text(settings.text, settings.dim), settings.dim), settings)
    require_unsaid(settings, "dim", "scale", "bias")
    pair = OwnPair(network)
    pair.require_loss("siglip", sigmoid=True)
    made = Siglip(pair, settings)
    with torch.no_grad():
        made.log_scale.copy_(network.network.logit_scale.reshape(()))
        made.bias.copy_(network.network.logit_bias.reshape(()))
    return made


def fit_to_data(settings: SiglipSettings, scale: Scale) -> tuple[SiglipSettings, list[str]]:
    """A bias that starts at what a small batch's share of true pairs asks for; a smaller text tower.

    A model's own stay as they are.
    """
    if settings.text.tower == "own":
        return settings, []
    words = clip.ClipSettings(text=settings.text)
    smaller, sentences = clip.fit_to_data(words, scale)
    new = replace(settings, text=smaller.text)
    if scale.batch < LARGE_BATCH:
        share = 1 / max(2, scale.batch)
        new = replace(new, bias=round(math.log(share / (1 - share)), 3))
        why = f"one of {scale.batch} pairs in a batch is true"
        sentences += change_sentence("bias", settings.bias, new.bias, why)
    return new, sentences
