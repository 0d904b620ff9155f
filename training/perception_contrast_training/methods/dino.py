"""DINO (Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from perception_contrast_training.losses.dino import sharpened, view_cross_entropy
from perception_contrast_training.losses.full_precision import at_least_float32, full_precision
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.teacher_centre import Centre
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.ema_teacher import (
    cosine_schedule,
    linspace_warmup,
    make_ema_teacher,
    update_ema,
)
from perception_contrast_training.networks.heads import DinoHead
from perception_contrast_training.views.dino import DinoViewSettings


@dataclass(frozen=True)
class DinoSettings:
    """teacher_temperature rises from teacher_temperature_start over warm_up_epochs. centred: without it one
    prototype takes all. frozen_epochs: of the last layer. gain_learned: whether prototypes have lengths."""

    prototypes: int = 65536
    student_temperature: float = 0.1
    teacher_temperature_start: float = 0.04
    teacher_temperature: float = 0.07
    warm_up_epochs: float = 30.0
    momentum: float = 0.996
    centred: bool = True
    center_momentum: float = 0.9
    frozen_epochs: float = 1.0
    hidden: int = 2048
    bottleneck: int = 256
    gain_learned: bool = False
    layer_decay: float = 1.0
    views: DinoViewSettings = field(default_factory=DinoViewSettings)


class Dino(nn.Module):
    """A student that sees crops says what its slowly moving twin says of the whole.

    Batch: globals (2, n, 3, h, w), locals (v, n, 3, h, w), which may be missing.
    """

    def __init__(self, backbone: Backbone, settings: DinoSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.head = DinoHead(
            backbone.dim,
            settings.prototypes,
            settings.hidden,
            settings.bottleneck,
            gain_learned=settings.gain_learned,
        )
        self.teacher, self.teacher_head = make_ema_teacher(backbone), make_ema_teacher(self.head)
        self.centre = Centre(settings.prototypes, settings.center_momentum)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        large, small = batch["globals"], batch.get("locals")
        with torch.no_grad():
            logits = at_least_float32(self.teacher_head(self.teacher(large.flatten(0, 1)).pooled))
        seen = [self.backbone(large.flatten(0, 1)).pooled]
        if small is not None and len(small):
            seen.append(self.backbone(small.flatten(0, 1)).pooled)
        guesses = torch.split(at_least_float32(self.head(torch.cat(seen))), large.shape[1])
        with full_precision(logits):
            center = self.centre.center if self.settings.centred else None
            targets = sharpened(logits, self.teacher_temperature(progress), center).chunk(len(large))
            total = view_cross_entropy(targets, guesses, self.settings.student_temperature)
        if self.training:
            self.centre.see(logits)
        first: Tensor = seen[0][: large.shape[1]].detach()
        watched = {"embedding": first, "teacher": targets[0]}
        return Losses(total, {"dino": total.detach()}, watched)

    def teacher_temperature(self, progress: Progress) -> float:
        """As the authors' numpy.linspace over the epochs of the warm-up, which ends with the final one.

        A warm-up of a fraction of epochs, as short runs have it, is the same linspace over its steps.
        """
        one = self.settings
        if float(one.warm_up_epochs).is_integer():
            index, count = math.floor(progress.epoch), int(one.warm_up_epochs)
        else:
            index, count = progress.step, round(one.warm_up_epochs * progress.epoch_steps)
        return linspace_warmup(one.teacher_temperature_start, one.teacher_temperature, index, count)

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "head": self.head}, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """The last layer stays as it is at first, which keeps the start calm."""
        if progress.epoch < self.settings.frozen_epochs:
            for parameter in self.head.prototypes.parameters():
                parameter.grad = None

    def after_step(self, progress: Progress) -> None:
        momentum = cosine_schedule(self.settings.momentum, progress.share)
        update_ema(self.teacher, self.backbone, momentum)
        update_ema(self.teacher_head, self.head, momentum)
        self.centre.move()

    def exported(self) -> Backbone:
        """The teacher's, which the authors evaluate."""
        return self.teacher
