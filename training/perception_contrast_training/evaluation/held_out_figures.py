"""How good a backbone is on images that it did not learn from: by labels, by captions, or by time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import evenly
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.engine.training_loop import SELECTION_FIGURE
from perception_contrast_training.evaluation.compare import (
    caption_ranks,
    class_vectors,
    precisions_in_time,
    spread_figures,
)
from perception_contrast_training.evaluation.encoding import (
    EncodedImages,
    EncoderAdapter,
    encode_images,
    evaluating,
)
from perception_contrast_training.evaluation.linear import linear_torch
from perception_contrast_training.evaluation.metrics.neighbours import knn_predictions, recall_of
from perception_contrast_training.methods.pairs import Towers
from perception_contrast_training.networks.two_towers import Network

# Figures of which more is better, the most telling first.
TELLING = ("kNN", "linear probe", "R@1", "zero-shot", "near in time mAP", "rank")


@dataclass(frozen=True)
class HeldOutScores:
    """What was measured on held-out images.

    Attributes:
        figures: By name.
        rows: Of figures that are means of values from 0 to 1: (n,) values of the images, in order. R@1, the
            mean of two means, has two: of images and of captions.
    """

    figures: dict[str, float]
    rows: dict[str, tuple[Tensor, ...]] = field(default_factory=dict)

    def add(self, name: str, *rows: Tensor) -> None:
        """A figure from its rows; none where a mean has no rows."""
        if all(len(one) for one in rows):
            self.rows[name] = tuple(one.double().cpu() for one in rows)
            self.figures[name] = sum(float(one.mean()) for one in self.rows[name]) / len(rows)


@dataclass(frozen=True)
class HeldOut:
    """learned: images whose labels may be used; held: those that are asked about. most: of each.

    unreadable: a line for each held-out image that could not be read so far, filled by ``figures``.
    """

    learned: Images
    held: Images
    most: int = 2000
    workers: int = 0
    unreadable: dict[str, None] = field(default_factory=dict)

    def figures(
        self, backbone: Network, *, pair: Towers | None = None, probe: bool = False
    ) -> dict[str, float]:
        """``scores`` without their rows."""
        return self.scores(backbone, pair=pair, probe=probe).figures

    def scores(self, backbone: Network, *, pair: Towers | None = None, probe: bool = False) -> HeldOutScores:
        """Of a backbone; where both towers are given as ``pair``, by captions and by names of classes too.

        probe: also of a linear layer, which takes longer than neighbours.
        """
        device = next(backbone.parameters()).device
        adapter = backbone_adapter(backbone, device)
        with evaluating(backbone):
            test = self._encoded(adapter, self.held, "held out")
            self.unreadable.update(dict.fromkeys(test.refused))
            found = HeldOutScores(spread_figures(test.vectors) if len(test) > 2 else {})
            found.add("near in time mAP", precisions_in_time(test))
            if bool((test.labels >= 0).any()):
                _add_labels(found, self._encoded(adapter, self.learned, "learned from"), test, probe)
        if pair is not None and len(set(filter(None, test.texts))) > 1:
            self._add_texts(found, pair, adapter)
        return found

    def _encoded(self, adapter: EncoderAdapter, images: Images, what: str) -> EncodedImages:
        return encode_images(adapter, evenly(images, self.most), workers=self.workers, what=what)

    def _add_texts(self, found: HeldOutScores, pair: Towers, adapter: EncoderAdapter) -> None:
        """R@1, where an image is found by each caption, and zero-shot of classes that have names."""
        other = pair_adapter(pair, adapter.device, adapter.name)
        words = other.words
        assert words is not None
        with evaluating(cast(nn.Module, pair)), torch.inference_mode():
            seen = self._encoded(other, self.held, "captions")
            ranks = caption_ranks(seen.vectors, words, seen.texts)
            for way, rank in zip(("image to text", "text to image"), ranks, strict=True):
                found.figures.update({f"{way} R@{k}": value for k, value in recall_of(rank).items()})
            found.add("R@1", *((rank < 1) for rank in ranks))
            classes, known = getattr(self.held, "classes", ()), seen.labels >= 0
            if classes and bool(known.any()):
                names = class_vectors(words, classes, "plain")
                best = (functional.normalize(seen.vectors[known], dim=-1) @ names.T).argmax(dim=-1)
                found.add("zero-shot", best == seen.labels[known])


def pair_adapter(pair: Towers, device: torch.device, name: str = "pair") -> EncoderAdapter:
    """Images in the space that they share with words."""

    def words(texts: Sequence[str]) -> Tensor:
        return pair.text_vectors(list(texts)).float().cpu()

    backbone = pair.backbone
    return EncoderAdapter(
        name, backbone.space, pair.image_vectors, backbone.size, backbone.mean, backbone.std, device, words
    )


def backbone_adapter(backbone: Network, device: torch.device, name: str = "backbone") -> EncoderAdapter:
    def pooled(images: Tensor) -> Tensor:
        vectors: Tensor = backbone(images).pooled
        return vectors

    return EncoderAdapter(name, backbone.space, pooled, backbone.size, backbone.mean, backbone.std, device)


def _add_labels(found: HeldOutScores, train: EncodedImages, test: EncodedImages, probe: bool) -> None:
    x, y = train.vectors[train.labels >= 0], train.labels[train.labels >= 0]
    a, b = test.vectors[test.labels >= 0], test.labels[test.labels >= 0]
    if not len(y):
        return
    found.add("kNN", knn_predictions(x, y, a) == b)
    if probe and len(torch.unique(y)) > 1:
        found.add("linear probe", linear_torch(x, y, a) == b)


def telling(figures: Mapping[str, float]) -> str | None:
    """The name of the figure that says most."""
    return next((name for name in TELLING if name in figures), None)


@dataclass(frozen=True)
class Probe:
    """``training_loop.Probe`` of a run's method."""

    held_out: HeldOut

    def __call__(self, trainer: Trainer) -> Mapping[str, float]:
        method: Any = trainer.method
        found = self.held_out.figures(method.exported(), pair=getattr(method, "pair", None))
        name = telling(found)
        return found if name is None else {**found, SELECTION_FIGURE: found[name]}
