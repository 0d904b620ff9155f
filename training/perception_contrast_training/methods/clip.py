"""CLIP (Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from perception_contrast_training.engine import gather
from perception_contrast_training.losses.clip import clip_loss
from perception_contrast_training.losses.full_precision import full_precision
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


@dataclass(frozen=True)
class ClipSettings:
    """dim: of the space where images and texts meet. temperature: at the start; it is learned, and its
    inverse is at most most_scale. table: numbers that the table of a comparison may
    hold at once."""

    dim: int = 512
    temperature: float = 0.07
    most_scale: float = 100.0
    table: int = TABLE
    layer_decay: float = 1.0
    text: TextSettings = field(default_factory=TextSettings)
    views: CaptionedViewSettings = field(default_factory=CaptionedViewSettings)


class Clip(nn.Module):
    """An image's text is told from all others in the batch, and a text's image. Batch: as ``Pair``."""

    def __init__(self, pair: Towers, settings: ClipSettings) -> None:
        super().__init__()
        self.settings = settings
        self.pair = pair
        self.log_scale = log_scale(1 / settings.temperature)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """As ``Towers.embed``."""
        return self.pair.embed(batch)

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        image, text = embedded["image"], embedded["text"]
        with full_precision(image):
            rows = gather.own_rows(len(image))
            chunk = rows_at_once(self.settings.table, len(image))
            negatives = negatives_of(embedded, 1)
            part = clip_loss(image, text, self.log_scale.exp(), chunk, rows, negatives=negatives)
            total = gather.total_loss(part)
            seen = watched_negatives(image, text, negatives, self.settings.table)
        scale = self.log_scale.detach().exp()
        return Losses(total, {"clip": total.detach(), "scale": scale}, watched(embedded) | seen)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        parts: dict[str, nn.Module | nn.Parameter] = {**self.pair.parts(), "log_scale": self.log_scale}
        return grouped(parts, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """The scale stays within bounds."""
        with torch.no_grad():
            self.log_scale.clamp_(0.0, math.log(self.settings.most_scale))

    def exported(self) -> Network:
        """The image tower, or both where they are one model; ``pair`` is both with their heads."""
        return self.pair.backbone


def make_clip(network: Network, settings: ClipSettings) -> Clip:
    """Raises RecipeError for a model of images and words that another loss trained."""
    if not isinstance(network, TwoTowers):
        return Clip(Pair(network, make_text(settings.text, settings.dim), settings.dim), settings)
    require_unsaid(settings, "dim", "temperature")
    return own_clip(network, settings, "clip")


def own_clip(towers: TwoTowers, settings: ClipSettings, method: str) -> Clip:
    """A model's own towers with its own temperature. method: the name of the method, for errors."""
    pair = OwnPair(towers)
    pair.require_loss(method, sigmoid=False)
    made = Clip(pair, settings)
    with torch.no_grad():
        made.log_scale.copy_(towers.network.logit_scale.reshape(()))
    return made


def fit_to_data(settings: ClipSettings, scale: Scale) -> tuple[ClipSettings, list[str]]:
    """A smaller text tower for fewer pairs; a smaller batch than the published one changes nothing."""
    if settings.text.tower != "transformer" or scale.images > 1_000_000:
        return settings, []
    old = settings.text
    text = replace(old, width=min(old.width, 256), depth=min(old.depth, 4), heads=min(old.heads, 4))
    why = f"there are {scale.images} texts"
    return replace(settings, text=text), [
        *change_sentence("text.width", old.width, text.width, why),
        *change_sentence("text.depth", old.depth, text.depth, why),
        *change_sentence("text.heads", old.heads, text.heads, why),
    ]
