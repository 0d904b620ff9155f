"""Fits the network of a head to cached features of views."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from perception_contrast.core.errors import PerceptionError
from perception_contrast.heads.head_card import HeadCard
from perception_contrast.heads.head_networks import NameScores, boxes_at, locations, network_of, whitening_of
from perception_contrast_training.heads.box_targets import BoxTargets, assigned
from perception_contrast_training.heads.labelled_frames import IGNORED
from perception_contrast_training.heads.training_samples import Sample, cropped
from perception_contrast_training.losses.detection import box_iou_pairs, focal_loss, giou_loss

Progress = Callable[[int, float], None]
"""Called with the number of the step and the mean loss since the last call."""

TOLD = 50  # steps between two calls
WARM_UP = 50  # steps, a tenth of all at most
CLIP = 5.0  # norm of the gradient
QUALITY_WEIGHT, INSIDE_WEIGHT = 0.5, 1.0
_ROWS = 20_000  # of features that are whitened by


@dataclass(frozen=True)
class FitSettings:
    """How a head is fitted: AdamW with warm-up and a cosine to nothing.

    Attributes:
        steps: Of the optimiser.
        batch: Views a step.
        learning_rate: The highest.
        weight_decay: Of AdamW.
        dropout: Share of the features that a step does not see.
        window: (rows, columns) of patches that a step sees of each view.
        seed: Of all that is by chance.
    """

    steps: int = 1000
    batch: int = 8
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    dropout: float = 0.1
    window: tuple[int, int] = (32, 32)
    seed: int = 0


def fit_dense(
    card: HeadCard,
    samples: Sequence[Sample],
    settings: FitSettings,
    device: str,
    progress: Progress | None,
    texts: Tensor | None = None,
) -> nn.Module:
    """A detection or segmentation network, fitted to views.

    Args:
        card: Of the head.
        samples: Views with their targets.
        settings: Of the fit.
        device: Where it is fitted.
        progress: Told of the loss.
        texts: (classes, c) unit vectors of the classes' names, where the card is ``named``.

    Raises:
        PerceptionError: The loss became no number.
    """
    torch.manual_seed(settings.seed)
    draws = torch.Generator().manual_seed(settings.seed)
    network = network_of(card, settings.dropout)
    rows = torch.cat([one.grid.reshape(-1, card.dim) for one in samples[:200]])
    step = max(1, len(rows) // _ROWS)
    whitening_of(network).fit(rows[::step].float())
    names = next((part for part in network.modules() if isinstance(part, NameScores)), None)
    if names is not None:
        if texts is None:
            raise ValueError("the head compares names, and their vectors are not given")
        names.fit(rows[::step].float(), texts)
    network.to(device).train()
    enlargement = card.settings.enlargement
    loss_of = _segmentation_loss if card.task == "segmentation" else _DetectionLoss(card, samples)
    order = _Order(len(samples), draws)

    def loss() -> Tensor:
        batch = [
            cropped(samples[order.next()], settings.window, enlargement, draws) for _ in range(settings.batch)
        ]
        features = torch.stack([one.grid for one in batch]).float().to(device)
        return loss_of(network, features, batch)

    _optimised(network, loss, settings, progress)
    return network.eval().cpu()


def fit_classification(
    card: HeadCard,
    pooled: Tensor,
    targets: Tensor,
    settings: FitSettings,
    progress: Progress | None = None,
) -> nn.Module:
    """A classification network, fitted to all views at once.

    Args:
        card: Of the head.
        pooled: (n, 2 c) as ``pooled_features`` gives them.
        targets: (n, k) 0 or 1; one 1 in each row unless an image may have several labels.
        settings: Of the fit; the batch is all.
        progress: Told of the loss.
    """
    torch.manual_seed(settings.seed)
    network = network_of(card, settings.dropout)
    whitening_of(network).fit(pooled)

    def loss() -> Tensor:
        logits = network(pooled)
        if card.settings.several:
            return F.binary_cross_entropy_with_logits(logits, targets, reduction="none").sum(dim=1).mean()
        return F.cross_entropy(logits, targets.argmax(dim=1))

    _optimised(network.train(), loss, settings, progress)
    return network.eval()


def _optimised(
    network: nn.Module, loss_of: Callable[[], Tensor], settings: FitSettings, progress: Progress | None
) -> None:
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    warm_up = max(1, min(WARM_UP, settings.steps // 10))
    total, count = 0.0, 0
    for step in range(settings.steps):
        cosine = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (step + 1) / warm_up) * cosine
        loss = loss_of()
        value = float(loss.detach())
        if not math.isfinite(value):
            raise PerceptionError(
                f"the loss is {value} at step {step + 1}; take a smaller --learning-rate than "
                f"{settings.learning_rate:g}"
            )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimiser.step()
        total, count = total + value, count + 1
        if progress is not None and ((step + 1) % TOLD == 0 or step + 1 == settings.steps):
            progress(step + 1, total / count)
            total, count = 0.0, 0


class _Order:
    """Indices in an order by chance, all of them before one comes again."""

    def __init__(self, count: int, draws: torch.Generator) -> None:
        self._count, self._draws = count, draws
        self._left: list[int] = []

    def next(self) -> int:
        if not self._left:
            self._left = torch.randperm(self._count, generator=self._draws).tolist()
        return self._left.pop()


def _segmentation_loss(network: nn.Module, features: Tensor, batch: Sequence[Sample]) -> Tensor:
    labels = torch.stack([one.labels for one in batch if one.labels is not None]).to(features.device)
    logits = network(features)
    known = (labels != IGNORED).sum().clamp_min(1)
    return F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum") / known


class _DetectionLoss:
    """Classes by focal loss, boxes by GIoU, quality by the IoU that a box has, all by the things found."""

    def __init__(self, card: HeadCard, samples: Sequence[Sample]) -> None:
        self._enlargement = card.settings.enlargement
        self._classes = len(card.classes)
        self._outlined = all(one.labels is not None for one in samples)

    def __call__(self, network: nn.Module, features: Tensor, batch: Sequence[Sample]) -> Tensor:
        outputs = network(features)
        device, (rows, columns) = features.device, batch[0].grid.shape[:2]
        places = locations(rows, columns, self._enlargement)
        each = [assigned(places, one.boxes, self._enlargement) for one in batch]
        found = max(1, sum(int((one.found >= 0).sum()) for one in each))
        classes, weights = self._class_targets(places, batch, each)
        loss: Tensor = (focal_loss(outputs.classes, classes.to(device)) * weights.to(device)).sum() / found
        boxes = boxes_at(places.to(device), outputs.sides)
        at_centre = _pairs(batch, [one.found for one in each], boxes)
        if len(at_centre[0]):
            iou = box_iou_pairs(*(one.detach() for one in at_centre))
            chosen = torch.stack([one.found >= 0 for one in each]).to(device)
            quality = F.binary_cross_entropy_with_logits(outputs.quality[chosen], iou, reduction="sum")
            loss = loss + (giou_loss(*at_centre).sum() + QUALITY_WEIGHT * quality) / found
        around = _pairs(batch, [one.around for one in each], boxes)
        if len(around[0]):
            # What masks are cut by: each location knows the box of its own thing.
            loss = loss + giou_loss(*around).mean()
        if self._outlined:
            loss = loss + INSIDE_WEIGHT * self._inside_loss(outputs.inside, batch)
        return loss

    def _class_targets(
        self, places: Tensor, batch: Sequence[Sample], each: Sequence[BoxTargets]
    ) -> tuple[Tensor, Tensor]:
        """(B, n, k) 0 or 1, and (B, n, 1) 0 where nothing is known of a location."""
        targets = torch.zeros(len(batch), len(places), self._classes)
        weights = torch.zeros(len(batch), len(places), 1)
        for row, sample in enumerate(batch):
            weights[row, :, 0] = _spread(sample.shown, self._enlargement).float()
            if len(sample.ignored):
                low, high = sample.ignored[None, :, :2], sample.ignored[None, :, 2:]
                hidden = ((places[:, None] >= low) & (places[:, None] < high)).all(-1).any(dim=1)
                weights[row, hidden] = 0.0
            chosen = (each[row].found >= 0).nonzero()[:, 0]
            targets[row, chosen, sample.numbers[each[row].found[chosen]]] = 1.0
            weights[row, chosen] = 1.0
        return targets, weights

    def _inside_loss(self, logits: Tensor, batch: Sequence[Sample]) -> Tensor:
        labels = torch.stack([one.labels.flatten() for one in batch if one.labels is not None])
        labels = labels.to(logits.device)
        targets = F.one_hot(labels.clamp(0, self._classes), self._classes + 1)[..., :-1].float()
        known = (labels != IGNORED)[..., None]
        loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * known
        return loss.sum() / known.sum().clamp_min(1)


def _spread(shown: Tensor, enlargement: int) -> Tensor:
    """(h, w) of patches to (h * enlargement * w * enlargement,) of locations."""
    return shown.repeat_interleave(enlargement, 0).repeat_interleave(enlargement, 1).flatten()


def _pairs(batch: Sequence[Sample], indices: Sequence[Tensor], boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (p, 4) of the locations with a thing, and those of their things."""
    own, true = [], []
    for row, (sample, index) in enumerate(zip(batch, indices, strict=True)):
        chosen = (index >= 0).to(boxes.device)
        own.append(boxes[row][chosen])
        true.append(sample.boxes[index[index >= 0]].to(boxes.device))
    return torch.cat(own), torch.cat(true)
