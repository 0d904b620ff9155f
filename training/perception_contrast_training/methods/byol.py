"""BYOL (Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from perception_contrast_training.losses.byol import byol_loss
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import SMALL, Scale, blurred, change_sentence, momentum_for
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.ema_teacher import cosine_schedule, make_ema_teacher, update_ema
from perception_contrast_training.networks.heads import byol_mlp
from perception_contrast_training.views.byol import ByolViewSettings


@dataclass(frozen=True)
class ByolSettings:
    """momentum: of the target at the start, 0.996 for 1,000 epochs, 0.99 for 300; it rises to 1. predictor,
    batch_norm: without them the method collapses."""

    momentum: float = 0.996
    hidden: int = 4096
    dim: int = 256
    predictor: bool = True
    batch_norm: bool = True
    layer_decay: float = 1.0
    views: ByolViewSettings = field(default_factory=ByolViewSettings)


class Byol(nn.Module):
    """What a slowly moving twin sees in one view is told from the other. Batch: views (2, n, 3, h, w)."""

    def __init__(self, backbone: Backbone, settings: ByolSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.projector = byol_mlp(backbone.dim, settings.hidden, settings.dim, settings.batch_norm)
        self.predictor: nn.Module = nn.Identity()
        if settings.predictor:
            self.predictor = byol_mlp(settings.dim, settings.hidden, settings.dim, settings.batch_norm)
        self.target_backbone, self.target_projector = (
            make_ema_teacher(backbone),
            make_ema_teacher(self.projector),
        )

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        seen = [self.backbone(view).pooled for view in batch["views"]]
        predicted = [at_least_float32(self.predictor(self.projector(x))) for x in seen]
        with torch.no_grad():
            target = [
                at_least_float32(self.target_projector(self.target_backbone(view).pooled))
                for view in batch["views"]
            ]
        with full_precision(seen[0]):
            total = byol_loss(predicted[0], target[1]) + byol_loss(predicted[1], target[0])
        watched = {"embedding": seen[0].detach(), "projection": target[0]}
        return Losses(total, {"byol": total.detach()}, watched)

    def groups(self) -> Iterable[Group]:
        parts = {"backbone": self.backbone, "projector": self.projector, "predictor": self.predictor}
        return grouped(parts, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """The target follows backbone and projector."""
        momentum = cosine_schedule(self.settings.momentum, progress.share)
        update_ema(self.target_backbone, self.backbone, momentum)
        update_ema(self.target_projector, self.projector, momentum)

    def exported(self) -> Backbone:
        """The online network's encoder, which the authors evaluate."""
        return self.backbone


def fit_to_data(settings: ByolSettings, scale: Scale) -> tuple[ByolSettings, list[str]]:
    """A target that moves within a short run, a head no wider than the batch can fill, and for small
    images no blur, as SimCLR's authors have it for CIFAR-10."""
    new = replace(settings, momentum=momentum_for(settings.momentum, scale))
    sentences = change_sentence(
        "momentum", settings.momentum, new.momentum, f"the run has {scale.steps} steps"
    )
    if scale.images < 100_000:
        new = replace(new, hidden=min(settings.hidden, 1024))
        sentences += change_sentence(
            "hidden", settings.hidden, new.hidden, f"there are {scale.images} images"
        )
    if scale.size <= SMALL:
        new = replace(new, views=replace(settings.views, blur=(0.0, 0.0)))
        sentences += change_sentence("views.blur", settings.views.blur, new.views.blur, blurred(scale))
    return new, sentences
