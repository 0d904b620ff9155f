"""Fine-tuning with labels: all weights of a backbone and a linear layer, by cross-entropy, a few steps."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast_training.bench.learning.pieces import Steps
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.encoding import encode_images
from perception_contrast_training.evaluation.held_out_figures import HeldOut, backbone_adapter
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.views.captioned import CaptionedViews, CaptionedViewSettings
from perception_contrast_training.views.view_transform import wanted_by

VIEWS = CaptionedViewSettings(area=(0.4, 1.0), flip=0.5)


class Classifier(nn.Module):
    """A backbone with a linear layer, which learns labels. Batch: image (n, 3, h, w), label (n,)."""

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.backbone, self.layer = backbone, nn.Linear(backbone.dim, classes)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layer(self.backbone(images).pooled)
        return logits

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return Losses(F.cross_entropy(self(batch["image"]), batch["label"]))

    def groups(self) -> list[Group]:
        return grouped({"backbone": self.backbone, "layer": self.layer})

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        return self.backbone


def fine_tuned(backbone: Backbone, data: HeldOut, seed: int, steps: Steps) -> float:
    """Accuracy on the held-out images; the backbone itself stays as it is."""
    torch.manual_seed(seed)
    classes = len(getattr(data.learned, "classes", ()))
    method = Classifier(copy.deepcopy(backbone).requires_grad_(True), classes)
    order = Order(len(data.learned), steps.batch, seed)
    trainer = Trainer(method, steps.optimisation(), epoch_steps=order.pass_batches, seed=seed)
    source = batches(data.learned, CaptionedViews(VIEWS, wanted_by(backbone)), order)
    for _ in tracked(range(steps.count), "fine-tuning", steps.count):
        trainer.step(next(source))
    method.eval()
    adapter = backbone_adapter(method.backbone, next(method.parameters()).device)
    seen = encode_images(adapter, data.held, what="fine-tuned")
    with torch.inference_mode():
        guesses = method.layer(seen.vectors).argmax(dim=-1)
    return round(float((guesses == seen.labels).float().mean()), 4)
