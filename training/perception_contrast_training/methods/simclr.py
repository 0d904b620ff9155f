"""SimCLR (Chen et al., "A Simple Framework for Contrastive Learning", ICML 2020)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from perception_contrast_training.engine import gather
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.losses.ntxent import nt_xent
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.contrastive_batch import (
    TABLE,
    batch_loss,
    frame_positions,
    negatives_of,
    rows_at_once,
    watched_negatives,
)
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import SMALL, Scale, change_sentence
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.heads import simclr_head
from perception_contrast_training.views.simclr import SimclrViewSettings


@dataclass(frozen=True)
class SimclrSettings:
    """temperature: 0.1 for ImageNet, 0.5 for images of 32 pixels. hidden: of the head, 0 for the backbone's
    width. batch_norm: in the head, as the authors' code has it; gradient caching needs it off. table: numbers
    that the table of a comparison may hold at once."""

    temperature: float = 0.1
    hidden: int = 0
    dim: int = 128
    layers: int = 2
    batch_norm: bool = True
    table: int = TABLE
    layer_decay: float = 1.0
    views: SimclrViewSettings = field(default_factory=SimclrViewSettings)


class Simclr(nn.Module):
    """Two views of an image are told from those of all others in the batch. Batch: views (2, n, 3, h, w)."""

    def __init__(self, backbone: Backbone, settings: SimclrSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.head = simclr_head(
            backbone.dim,
            settings.hidden or backbone.dim,
            settings.dim,
            settings.layers,
            settings.batch_norm,
        )

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """first, second: (n, c) of the head; features (n, dim) of the encoder in the first views, without
        gradient; and where the views were taken, if that is known."""
        views = batch["views"]
        # Both views go together, so that batch norm sees them together, as in the authors' code.
        pooled = self.backbone(views.flatten(0, 1)).pooled
        first, second = self.head(pooled).chunk(2)
        features = pooled[: len(first)].detach()
        return {"first": first, "second": second, "features": features, **frame_positions(batch)}

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        first, second = (at_least_float32(embedded[name]) for name in ("first", "second"))
        negatives = negatives_of(embedded, 2)
        with full_precision(first):
            part = nt_xent(
                first,
                second,
                self.settings.temperature,
                rows_at_once(self.settings.table, 2 * len(first)),
                gather.own_rows(len(first)) if gather.processes() > 1 else None,
                negatives=negatives,
            )
            total = gather.total_loss(part)
            seen = watched_negatives(
                first, torch.cat([first, second]), negatives, self.settings.table, self.settings.temperature
            )
        # Batch norm in the head spreads even features that are nearly one, so monitors see those themselves.
        watched = {"embedding": embedded["features"].detach(), "projection": first.detach(), **seen}
        return Losses(total, {"nt_xent": total.detach()}, watched)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "head": self.head}, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        """The encoder without its head, which the authors evaluate."""
        return self.backbone


def fit_to_data(settings: SimclrSettings, scale: Scale) -> tuple[SimclrSettings, list[str]]:
    """For small images, the settings of the authors' appendix B.9 (CIFAR-10)."""
    if scale.size > SMALL:
        return settings, []
    views = replace(settings.views, strength=min(settings.views.strength, 0.5), blur=0.0)
    new = replace(settings, temperature=max(settings.temperature, 0.5), views=views)
    why = f"images of {scale.size} pixels, as the paper has it for CIFAR-10"
    return new, [
        *change_sentence("temperature", settings.temperature, new.temperature, why),
        *change_sentence("views.strength", settings.views.strength, views.strength, why),
        *change_sentence("views.blur", settings.views.blur, views.blur, why),
    ]
