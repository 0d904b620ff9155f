"""Barlow Twins (Zbontar et al., ICML 2021) as a learning method of one's own: one file, one name.

PYTHONPATH=examples/methods perception-contrast train run --recipe examples/methods/barlow_twins.yaml \
  --set data.path=IMAGES
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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


def _standardised(vectors: Tensor, epsilon: float = 1e-5) -> Tensor:
    """(n, c) with mean 0 and deviation 1 in each channel, as a batch norm without weights gives it."""
    centred = vectors - vectors.mean(dim=0)
    return centred * (centred.square().mean(dim=0) + epsilon).rsqrt()


@exact
def barlow_twins_loss(first: Tensor, second: Tensor, redundancy: float = 5e-3) -> Tensor:
    """The correlations of the channels of one view with those of the other become the identity.

    Args:
        first: (n, c) vectors of one view of each image, not normalised; n at least 2.
        second: (n, c) vectors of the other view.
        redundancy: Weight of the correlations of different channels.

    Returns:
        () loss.

    Raises:
        ValueError: The shapes differ, or there are fewer than two rows.

    Source: Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021,
    equations 1 and 2.
    """
    require_same("views", first, second)
    if len(first) < 2:
        raise ValueError("one image has no variance; give a batch of two at least")
    table = _standardised(first).T @ _standardised(second) / len(first)
    same = table.diagonal()
    others = table.square().sum() - same.square().sum()
    return (same - 1.0).square().sum() + redundancy * others


@dataclass(frozen=True)
class BarlowTwinsSettings:
    """``options`` of a recipe. hidden, dim: of the projector. batch_norm: in it; gradient caching needs it
    off. redundancy: weight of the correlations of different channels. bias_rate: learning rate of biases and
    norms, which LARS does not scale, as a share of the others'; on a ViT, which AdamW moves, 1."""

    hidden: int = 8192
    dim: int = 8192
    batch_norm: bool = True
    redundancy: float = 5e-3
    bias_rate: float = 0.024
    layer_decay: float = 1.0
    views: ByolViewSettings = field(default_factory=ByolViewSettings)


class BarlowTwins(nn.Module):
    """Batch: views (2, n, 3, h, w)."""

    def __init__(self, backbone: Backbone, settings: BarlowTwinsSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.head = expander(backbone.dim, settings.hidden, settings.dim, batch_norm=settings.batch_norm)

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """What ``compare`` needs: it is gathered from all processes, and from parts of a large batch."""
        seen = [self.backbone(view).pooled for view in batch["views"]]
        first, second = (self.head(one) for one in seen)
        return {"first": first, "second": second, "features": seen[0].detach()}

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        """Of the whole batch, which every process has: its correlations are those of all images."""
        total = barlow_twins_loss(embedded["first"], embedded["second"], self.settings.redundancy)
        watched = {"embedding": embedded["features"].detach(), "projection": embedded["first"].detach()}
        return Losses(total, {"barlow twins": total.detach()}, watched)

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        rate = 1.0 if self.backbone.is_vit else self.settings.bias_rate
        for group in grouped({"backbone": self.backbone, "head": self.head}, self.settings.layer_decay):
            yield group if group.decay else replace(group, rate=group.rate * rate)

    def before_step(self, progress: Progress) -> None:
        """Nothing is left out."""

    def after_step(self, progress: Progress) -> None:
        """Nothing follows."""

    def exported(self) -> Backbone:
        """The encoder without its projector, which the authors evaluate."""
        return self.backbone


def fit_to_data(settings: BarlowTwinsSettings, scale: Scale) -> tuple[BarlowTwinsSettings, list[str]]:
    """A projector that few images can fill, and no blur in small ones."""
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
    settings=BarlowTwinsSettings,
    make=BarlowTwins,
    views=ByolViews,
    fit_to_data=fit_to_data,
    paper_defaults=PaperDefaults("lars", 0.2, 1.5e-6, 1.5e-6, final_rate=1e-3, epochs=1000, batch=2048),
    vit_defaults=MOCO_V3,
    paired=True,
)
