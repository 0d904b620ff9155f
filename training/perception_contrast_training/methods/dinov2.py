"""DINOv2 (Oquab et al., "Learning Robust Visual Features without Supervision", TMLR 2024).

DINO on the class token, iBOT (Zhou et al., ICLR 2022) on hidden patches, KoLeo between images.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from perception_contrast_training.engine import gather
from perception_contrast_training.losses.dino import sharpened, view_cross_entropy
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.losses.ibot import patch_cross_entropy
from perception_contrast_training.losses.koleo import koleo_loss
from perception_contrast_training.losses.sinkhorn import sinkhorn_knopp
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.teacher_centre import Centre
from perception_contrast_training.networks.backbones import Backbone, BackboneOutput
from perception_contrast_training.networks.ema_teacher import (
    cosine_schedule,
    linear_warmup,
    make_ema_teacher,
    update_ema,
)
from perception_contrast_training.networks.heads import DinoHead
from perception_contrast_training.views.dinov2 import Dinov2ViewSettings


@dataclass(frozen=True)
class Dinov2Settings:
    """sinkhorn: how teachers are kept from saying one thing, iterations of Sinkhorn-Knopp; 0 for a centre as
    in DINO. separate_head: whether patches have a head of their own. ibot_weight, koleo_weight: of those
    losses beside DINO's. drop_path and registers are the backbone's."""

    prototypes: int = 65536
    student_temperature: float = 0.1
    teacher_temperature_start: float = 0.04
    teacher_temperature: float = 0.07
    warm_up_epochs: float = 30.0
    momentum: float = 0.992
    sinkhorn: int = 3
    center_momentum: float = 0.9
    separate_head: bool = True
    ibot_weight: float = 1.0
    koleo_weight: float = 0.1
    frozen_epochs: float = 1.0
    hidden: int = 2048
    bottleneck: int = 256
    layer_decay: float = 0.9
    patch_rate: float = 0.2
    views: Dinov2ViewSettings = field(default_factory=Dinov2ViewSettings)


class Dinov2(nn.Module):
    """Batch: globals (2, n, 3, h, w), locals (v, n, 3, h, w) or none, masks (2, n, patches) bool, true where
    the student is not shown the patch."""

    def __init__(self, backbone: Backbone, settings: Dinov2Settings) -> None:
        super().__init__()
        backbone.require_vit("dinov2")
        self.settings, self.backbone = settings, backbone
        self.head = self._make_head()
        self.patch_head = self._make_head() if settings.separate_head else self.head
        self.teacher, self.teacher_head = make_ema_teacher(backbone), make_ema_teacher(self.head)
        self.teacher_patch_head = (
            make_ema_teacher(self.patch_head) if settings.separate_head else self.teacher_head
        )
        self.centre = Centre(settings.prototypes, settings.center_momentum)
        self.patch_centre = Centre(settings.prototypes, settings.center_momentum)

    def _make_head(self) -> DinoHead:
        one = self.settings
        return DinoHead(self.backbone.dim, one.prototypes, one.hidden, one.bottleneck)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        large, masks, images = batch["globals"], batch["masks"].flatten(0, 1), batch["globals"].shape[1]
        temperature = self.teacher_temperature(progress)
        targets, patch_targets = self._taught(large, masks, temperature)
        seen = self.backbone(large.flatten(0, 1), masked=masks)
        guesses = torch.split(self._guesses(seen, batch.get("locals")), images)
        patches = at_least_float32(self.patch_head(seen.tokens[masks]))
        crops = at_least_float32(seen.pooled).chunk(len(large))
        with full_precision(patches):
            student = self.settings.student_temperature
            parts = {
                "dino": view_cross_entropy(targets.chunk(len(large)), guesses, student),
                "ibot": patch_cross_entropy(patch_targets, patches, masks, student),
                # Nearest among all images of the step, however many processes share them.
                "koleo": torch.stack([koleo_loss(gather.gathered(crop)) for crop in crops]).sum(),
            }
            total = (
                parts["dino"]
                + self.settings.ibot_weight * parts["ibot"]
                + self.settings.koleo_weight * parts["koleo"]
            )
        watched = {"embedding": crops[0].detach(), "teacher": targets[:images]}
        return Losses(total, {name: part.detach() for name, part in parts.items()}, watched)

    @torch.no_grad()
    def _taught(self, large: Tensor, masks: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Probabilities of class tokens (2n, k), and of the patches that the student does not see (m, k)."""
        seen = self.teacher(large.flatten(0, 1))
        logits = at_least_float32(self.teacher_head(seen.pooled))
        patches = at_least_float32(self.teacher_patch_head(seen.tokens[masks]))
        with full_precision(logits):
            if self.settings.sinkhorn:
                spread = (temperature, self.settings.sinkhorn, gather.summed, gather.largest)
                return sinkhorn_knopp(logits, *spread), sinkhorn_knopp(patches, *spread)
            if self.training:
                self.centre.see(logits)
                self.patch_centre.see(patches)
            return (
                sharpened(logits, temperature, self.centre.center),
                sharpened(patches, temperature, self.patch_centre.center),
            )

    def _guesses(self, seen: BackboneOutput, small: Tensor | None) -> Tensor:
        """Logits of all crops' class tokens, ((2 + v) n, k)."""
        pooled = [seen.pooled]
        if small is not None and len(small):
            pooled.append(self.backbone(small.flatten(0, 1)).pooled)
        return at_least_float32(self.head(torch.cat(pooled)))

    def teacher_temperature(self, progress: Progress) -> float:
        one = self.settings
        return linear_warmup(
            one.teacher_temperature_start, one.teacher_temperature, progress.epoch, one.warm_up_epochs
        )

    def groups(self) -> Iterable[Group]:
        parts = {"backbone": self.backbone, "head": self.head, "patch_head": self.patch_head}
        return grouped(parts, self.settings.layer_decay, self.settings.patch_rate)

    def before_step(self, progress: Progress) -> None:
        """The last layers stay as they are at first."""
        if progress.epoch < self.settings.frozen_epochs:
            for head in (self.head, self.patch_head):
                for parameter in head.prototypes.parameters():
                    parameter.grad = None

    def after_step(self, progress: Progress) -> None:
        momentum = cosine_schedule(self.settings.momentum, progress.share)
        update_ema(self.teacher, self.backbone, momentum)
        update_ema(self.teacher_head, self.head, momentum)
        if self.settings.separate_head:
            update_ema(self.teacher_patch_head, self.patch_head, momentum)
        if not self.settings.sinkhorn:
            self.centre.move()
            self.patch_centre.move()

    def exported(self) -> Backbone:
        """The teacher's, which the authors release."""
        return self.teacher
