"""How good a backbone is on pictures that it did not learn from: by labels, by captions, or by time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .data.chosen import evenly
from .data.samples import Pictures
from .evaluation.compare import of_time, without_labels
from .evaluation.linear import linear_torch
from .evaluation.metrics.neighbours import knn_accuracy, retrieval
from .evaluation.seeing import Eye, Seen, evaluating, see
from .loop import Trainer
from .networks.backbones import Backbone
from .running import BETTER

# Figures of which more is better, the most telling first.
TELLING = ("kNN", "linear probe", "R@1", "near in time mAP", "rank")


@dataclass(frozen=True)
class HeldOut:
    """learned: pictures whose labels may be used; held: those that are asked about. most: of each."""

    learned: Pictures
    held: Pictures
    most: int = 2000
    workers: int = 0

    def figures(self, backbone: Backbone, *, pair: Any = None, probe: bool = False) -> dict[str, float]:
        """Of a backbone; of both towers by captions where they are given as ``pair``.

        probe: also of a linear layer, which takes longer than neighbours.
        """
        device = next(backbone.parameters()).device
        eye = eye_of_backbone(backbone, device)
        with evaluating(backbone):
            test = self._seen(eye, self.held, "held out")
            found = without_labels(test.vectors) if len(test) > 2 else {}
            found |= of_time(test)
            if bool((test.labels >= 0).any()):
                found |= _of_labels(self._seen(eye, self.learned, "learned from"), test, probe)
        if pair is not None and sum(map(bool, test.texts)) > 1:
            found |= self._of_texts(pair, eye)
        return found

    def _seen(self, eye: Eye, pictures: Pictures, what: str) -> Seen:
        return see(eye, evenly(pictures, self.most), workers=self.workers, what=what)

    def _of_texts(self, pair: Any, eye: Eye) -> dict[str, float]:
        module: nn.Module = pair
        other = Eye(eye.name, eye.space, pair.image_vectors, eye.size, eye.mean, eye.std, eye.device)
        with evaluating(module), torch.inference_mode():
            seen = self._seen(other, self.held, "captions")
            owners = [number for number, text in enumerate(seen.texts) if text]
            texts: Tensor = pair.text_vectors([seen.texts[n].split("\n")[0] for n in owners])
            found = retrieval(seen.vectors[owners], texts.float().cpu(), range(len(owners)))
        return found | {"R@1": (found["image to text R@1"] + found["text to image R@1"]) / 2}


def eye_of_backbone(backbone: Backbone, device: torch.device, name: str = "backbone") -> Eye:
    def pooled(images: Tensor) -> Tensor:
        vectors: Tensor = backbone(images).pooled
        return vectors

    return Eye(name, backbone.space, pooled, backbone.size, backbone.mean, backbone.std, device)


def _of_labels(train: Seen, test: Seen, probe: bool) -> dict[str, float]:
    x, y = train.vectors[train.labels >= 0], train.labels[train.labels >= 0]
    a, b = test.vectors[test.labels >= 0], test.labels[test.labels >= 0]
    if not len(y):
        return {}
    found = {"kNN": knn_accuracy(x, y, a, b)}
    if probe and len(torch.unique(y)) > 1:
        found["linear probe"] = float((linear_torch(x, y, a) == b).float().mean())
    return found


def telling(figures: Mapping[str, float]) -> str | None:
    """The name of the figure that says most."""
    return next((name for name in TELLING if name in figures), None)


@dataclass(frozen=True)
class Probe:
    """``running.Probe`` of a run's method."""

    held_out: HeldOut

    def __call__(self, trainer: Trainer) -> Mapping[str, float]:
        method: Any = trainer.method
        found = self.held_out.figures(method.exported(), pair=getattr(method, "pair", None))
        name = telling(found)
        return found if name is None else {**found, BETTER: found[name]}
