"""SwAV (Caron et al., NeurIPS 2020) as a learning method of one's own: with prototypes, queue and multi-crop.

PYTHONPATH=examples/methods perception-contrast train run --recipe examples/methods/swav.yaml \
  --set data.path=IMAGES
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast_training.engine import gather
from perception_contrast_training.losses.full_precision import at_least_float32, exact, full_precision
from perception_contrast_training.losses.sinkhorn import sinkhorn_knopp
from perception_contrast_training.losses.unit_vectors import unit
from perception_contrast_training.methods.base import Batch, Group, Losses, Progress
from perception_contrast_training.methods.contrastive_batch import batch_loss
from perception_contrast_training.methods.method_kind import MethodKind
from perception_contrast_training.methods.paper_defaults import MOCO_V3, PaperDefaults
from perception_contrast_training.methods.parameter_groups import grouped
from perception_contrast_training.methods.scaling import (
    SMALL,
    Scale,
    blurred,
    change_sentence,
    prototypes_for,
)
from perception_contrast_training.networks.backbones import Backbone
from perception_contrast_training.networks.heads import expander
from perception_contrast_training.views.dino import SHARE
from perception_contrast_training.views.pixels import tenth
from perception_contrast_training.views.planned_views import Look, PlannedViews
from perception_contrast_training.views.view_transform import BackboneInput, ViewTransform

LARGE = 2  # views that give codes
QUEUE = 1.28  # vectors a prototype, as the authors have it for batches of 256


@exact
def swapped_prediction(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float) -> Tensor:
    """Each view predicts the codes of the other large views; the sum over images.

    Args:
        scores: (n, k) cosines with the prototypes, of the large views first, then of the small ones.
        codes: (n, k) of the large views, rows that sum to 1.
        temperature: Of the predictions.

    Returns:
        () loss, over n a mean.

    Source: Caron et al., "Unsupervised Learning of Visual Features by Contrasting Cluster Assignments"
    (SwAV), NeurIPS 2020, equations 1, 2 and 6.
    """
    guesses = [F.log_softmax(one / temperature, dim=1) for one in scores]
    terms = [
        -(code * guess).sum()
        for number, code in enumerate(codes)
        for view, guess in enumerate(guesses)
        if view != number
    ]
    return torch.stack(terms).sum() / (len(codes) * (len(scores) - 1))


@torch.no_grad()
def codes_of(scores: Tensor, epsilon: float, iterations: int, earlier: Tensor | None = None) -> Tensor:
    """Assignments (n, k) of one large view, balanced over the whole batch.

    scores: (n, k). earlier: (m, k) of images of earlier batches, which are balanced along with them.
    """
    together = scores if earlier is None else torch.cat([scores, earlier])
    return sinkhorn_knopp(together.detach(), epsilon, iterations)[: len(scores)]


@dataclass(frozen=True)
class SwavViewSettings:
    """size, local_size: pixels of a side, 0 for the backbone's and three sevenths of it. locals: how many
    small views. area, local_area: shares of the image. The others: as of SimCLR's views."""

    size: int = 0
    local_size: int = 0
    locals: int = 6
    area: tuple[float, float] = (0.14, 1.0)
    local_area: tuple[float, float] = (0.05, 0.14)
    strength: float = 1.0
    flip: float = 0.5
    hue: float = 0.2
    grey: float = 0.2
    blur: float = 0.5


class SwavViews(PlannedViews):
    """globals (2, 3, size, size), the second of the partner, if there is one; locals (v, 3, local_size,
    local_size) of the image, missing where v is 0."""

    def __init__(self, settings: SwavViewSettings, wanted: BackboneInput) -> None:
        size, strength = wanted.size_of(settings.size), settings.strength
        near = max(1, round(size * SHARE / wanted.patch)) * wanted.patch
        small_size = wanted.size_of(settings.local_size or near, "local_size")
        large = ViewTransform(
            size, settings.area, wanted, flip=settings.flip, brightness=0.8 * strength,
            contrast=0.8 * strength, saturation=0.8 * strength, hue=settings.hue * strength,
            grey=settings.grey, blur=settings.blur, kernel=tenth(size),
        )  # fmt: skip
        small = replace(large, size=small_size, area=settings.local_area, kernel=tenth(small_size))
        super().__init__(
            {"globals": (Look(large), Look(large, partner=True)), "locals": (Look(small),) * settings.locals}
        )


@dataclass(frozen=True)
class SwavSettings:
    """``options`` of a recipe. temperature: of predictions. epsilon, iterations: of Sinkhorn-Knopp. hidden,
    dim: of the head. frozen_epochs: of the prototypes. queue: vectors of earlier images that are balanced
    along with the batch, of all processes, 0 for none: for batches smaller than the prototypes; they count
    after queue_epochs. batch_norm: in the head; gradient caching needs it off."""

    prototypes: int = 3000
    temperature: float = 0.1
    epsilon: float = 0.05
    iterations: int = 3
    hidden: int = 2048
    dim: int = 128
    frozen_epochs: float = 1.0
    queue: int = 0
    queue_epochs: float = 15.0
    batch_norm: bool = True
    layer_decay: float = 1.0
    views: SwavViewSettings = field(default_factory=SwavViewSettings)


class Swav(nn.Module):
    """Batch: globals (2, n, 3, h, w), locals (v, n, 3, h, w), which may be missing."""

    queue: Tensor
    queue_counts: Tensor

    def __init__(self, backbone: Backbone, settings: SwavSettings) -> None:
        super().__init__()
        self.settings, self.backbone = settings, backbone
        self.head = expander(backbone.dim, settings.hidden, settings.dim, 2, settings.batch_norm)
        self.prototypes = nn.Linear(settings.dim, settings.prototypes, bias=False)
        # As buffers they are in every checkpoint: a run that goes on has them.
        self.register_buffer("queue", torch.zeros(LARGE, settings.queue, settings.dim))
        self.register_buffer("queue_counts", torch.zeros(()))
        self._normalise()

    @torch.no_grad()
    def _normalise(self) -> None:
        self.prototypes.weight.copy_(unit(self.prototypes.weight))

    def embed(self, batch: Batch) -> dict[str, Tensor]:
        """large (n, 2, c) and small (n, v, c): unit vectors of all views of an image."""
        large, small = batch["globals"], batch.get("locals")
        seen = [self.backbone(large.flatten(0, 1)).pooled]
        if small is not None and len(small):
            seen.append(self.backbone(small.flatten(0, 1)).pooled)
        count = large.shape[1]
        # All views go through the head together, so that batch norm sees them together.
        vectors = unit(at_least_float32(self.head(torch.cat(seen))))
        views = vectors.unflatten(0, (-1, count)).transpose(0, 1)
        return {"large": views[:, :LARGE], "small": views[:, LARGE:], "features": seen[0][:count].detach()}

    def compare(self, embedded: Mapping[str, Tensor]) -> Losses:
        """Codes are balanced over the whole batch, which every process has; each predicts its own rows."""
        one, large = self.settings, embedded["large"]
        with full_precision(large):
            codes = [self._codes(large[:, view].detach(), view) for view in range(LARGE)]
            rows = slice(*gather.own_rows(len(large)))
            views = torch.cat([large[rows], embedded["small"][rows]], dim=1)
            scores = F.linear(views, self.prototypes.weight).unbind(1)
            part = swapped_prediction(scores, [code[rows] for code in codes], one.temperature)
            total = gather.total_loss(part / len(large))
        self._remember(large.detach())
        watched = {"embedding": embedded["features"].detach(), "teacher": codes[0]}
        return Losses(total, {"swav": total.detach()}, watched)

    def _codes(self, vectors: Tensor, view: int) -> Tensor:
        one, weight = self.settings, self.prototypes.weight.detach()
        full = one.queue > 0 and bool(self.queue_counts) and bool(self.queue[view, -1].any())
        earlier = F.linear(self.queue[view], weight) if full else None
        return codes_of(F.linear(vectors, weight), one.epsilon, one.iterations, earlier)

    @torch.no_grad()
    def _remember(self, large: Tensor) -> None:
        """The newest first, the same on all processes."""
        if self.training and self.settings.queue:
            new = large.transpose(0, 1).to(self.queue.dtype)
            self.queue.copy_(torch.cat([new, self.queue], dim=1)[:, : self.settings.queue])

    def loss(self, batch: Batch, progress: Progress) -> Losses:
        return batch_loss(self, batch)

    def groups(self) -> Iterable[Group]:
        parts = {"backbone": self.backbone, "head": self.head, "prototypes": self.prototypes}
        return grouped(parts, self.settings.layer_decay)

    def before_step(self, progress: Progress) -> None:
        """The prototypes stay as they are at first."""
        if progress.epoch < self.settings.frozen_epochs:
            self.prototypes.weight.grad = None

    def after_step(self, progress: Progress) -> None:
        self._normalise()
        self.queue_counts.fill_(float(progress.epoch >= self.settings.queue_epochs))

    def exported(self) -> Backbone:
        """The encoder without its head, which the authors evaluate."""
        return self.backbone


def fit_to_data(settings: SwavSettings, scale: Scale) -> tuple[SwavSettings, list[str]]:
    """Prototypes that the images can fill, a queue where the batch cannot, no blur in small images."""
    new = replace(settings, prototypes=prototypes_for(settings.prototypes, scale))
    why = f"there are {scale.images} images"
    sentences = change_sentence("prototypes", settings.prototypes, new.prototypes, why)
    if not settings.queue and scale.batch < new.prototypes:
        new = replace(new, queue=min(round(QUEUE * new.prototypes), scale.images // 2))
        why = f"a batch of {scale.batch} does not fill {new.prototypes} prototypes"
        sentences += change_sentence("queue", settings.queue, new.queue, why)
        epochs = min(settings.queue_epochs, round(0.05 * scale.epochs, 3))
        new = replace(new, queue_epochs=epochs)
        why = f"a twentieth of {scale.epochs:g} passes"
        sentences += change_sentence("queue_epochs", settings.queue_epochs, epochs, why)
    if scale.size <= SMALL:
        new = replace(new, views=replace(new.views, blur=0.0))
        sentences += change_sentence("views.blur", settings.views.blur, 0.0, blurred(scale))
    return new, sentences


KIND = MethodKind(
    settings=SwavSettings,
    make=Swav,
    views=SwavViews,
    fit_to_data=fit_to_data,
    paper_defaults=PaperDefaults("lars", 0.3, 1e-6, 1e-6, final_rate=1e-3, epochs=800, batch=4096),
    vit_defaults=MOCO_V3,
    paired=True,
)
