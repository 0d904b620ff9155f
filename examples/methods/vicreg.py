"""VICReg (Bardes, Ponce & LeCun, ICLR 2022) as a learning method of one's own: one file, one name.

PYTHONPATH=examples/methods perception-contrast train run --recipe examples/methods/vicreg.yaml \
  --set data.path=IMAGES

It trains, resumes, is exported and served as the methods that come along. docs/add_a_learning_method.md
explains it line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from perception_contrast_training.losses.full_precision import exact
from perception_contrast_training.losses.unit_vectors import require_same
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.contrastive_batch import batch_loss
from perception_contrast_training.methods.method_kind import MethodKind
from perception_contrast_training.methods.paper_defaults import MOCO_V3, PaperDefaults
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import SMALL, Scale, blurred, change_sentence
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.heads import expander
from perception_contrast_training.views.byol import ByolViews, ByolViewSettings

FEW_IMAGES = 100_000
NARROW = 2048  # channels that so few images can decorrelate


@exact
def vicreg_loss(
    first: Tensor,
    second: Tensor,
    invariance: float = 25.0,
    variance: float = 25.0,
    covariance: float = 1.0,
    epsilon: float = 1e-4,
) -> Tensor:
    """Two views agree, each channel varies, and no two channels vary together.

    Args:
        first: (n, c) vectors of one view of each image, not normalised; n at least 2.
        second: (n, c) vectors of the other view.
        invariance: Weight of the mean squared difference of the views.
        variance: Weight of what each channel's deviation lacks of 1.
        covariance: Weight of the squared covariances of different channels.
        epsilon: Added to variances before the root.

    Returns:
        () loss.

    Raises:
        ValueError: The shapes differ, or there are fewer than two rows.

    Source: Bardes, Ponce & LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
    Learning", ICLR 2022, equations 1 to 6. As in the authors' code the variance term is the mean of both
    views.
    """
    require_same("views", first, second)
    if len(first) < 2:
        raise ValueError("one image has no variance; give a batch of two at least")
    total = invariance * (first - second).square().mean()
    for vectors in (first, second):
        centred = vectors - vectors.mean(dim=0)
        table = centred.T @ centred / (len(vectors) - 1)
        deviation = (table.diagonal() + epsilon).sqrt()
        total = total + 0.5 * variance * torch.relu(1.0 - deviation).mean()
        others = table.square().sum() - table.diagonal().square().sum()
        total = total + covariance * others / vectors.shape[1]
    return total


@dataclass(frozen=True)
class VicregSettings:
    """``options`` of a recipe. hidden, dim: of the expander. batch_norm: in it; gradient caching needs it
    off. invariance, variance, covariance: weights of the terms."""

    hidden: int = 8192
    dim: int = 8192
    batch_norm: bool = True
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    layer_decay: float = 1.0
    views: ByolViewSettings = field(default_factory=ByolViewSettings)


class Vicreg(nn.Module):
    """Batch: views (2, n, 3, h, w)."""

    def __init__(self, backbone: Backbone, settings: VicregSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.head = expander(backbone.dim, settings.hidden, settings.dim, batch_norm=settings.batch_norm)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """What ``compare`` needs: it is gathered from all processes, and from parts of a large batch."""
        seen = [self.backbone(view).pooled for view in batch["views"]]
        first, second = (self.head(one) for one in seen)
        return {"first": first, "second": second, "features": seen[0].detach()}

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        """Of the whole batch, which every process has: its variances are those of all images."""
        one = self.settings
        total = vicreg_loss(
            embedded["first"], embedded["second"], one.invariance, one.variance, one.covariance
        )
        watched = {"embedding": embedded["features"].detach(), "projection": embedded["first"].detach()}
        return Losses(total, {"vicreg": total.detach()}, watched)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        return grouped({"backbone": self.backbone, "head": self.head}, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        """The encoder without its expander, which the authors evaluate."""
        return self.backbone


def fit_to_data(settings: VicregSettings, scale: Scale) -> tuple[VicregSettings, list[str]]:
    """An expander that few images can fill, and no blur in small ones."""
    new, sentences = settings, []
    if scale.images < FEW_IMAGES:
        new = replace(new, hidden=min(new.hidden, NARROW), dim=min(new.dim, NARROW))
        why = f"there are {scale.images} images"
        sentences += change_sentence("hidden", settings.hidden, new.hidden, why)
        sentences += change_sentence("dim", settings.dim, new.dim, why)
    if scale.size <= SMALL:
        new = replace(new, views=replace(new.views, blur=(0.0, 0.0)))
        sentences += change_sentence("views.blur", settings.views.blur, new.views.blur, blurred(scale))
    return new, sentences


KIND = MethodKind(
    settings=VicregSettings,
    make=Vicreg,
    views=ByolViews,
    fit_to_data=fit_to_data,
    paper_defaults=PaperDefaults("lars", 0.2, 1e-6, 1e-6, final_rate=1e-3, epochs=1000, batch=2048),
    vit_defaults=MOCO_V3,
    paired=True,
)
