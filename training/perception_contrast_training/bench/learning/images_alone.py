"""A cell of a method without captions: kNN, linear probe, spread and rank at the start and at the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.bench.learning.cells import LIGHTLY, Cell
from perception_contrast_training.bench.learning.fine_tuning import fine_tuned
from perception_contrast_training.bench.learning.lightly_methods import lightly_method
from perception_contrast_training.bench.learning.pieces import Steps, Work, train
from perception_contrast_training.bench.learning.results import STARTS, Results
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.methods.base import Method
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings, make_backbone

SIZE = 32
NETWORKS = {
    # Patches of 8 pixels: 16 of an image.
    "vit_tiny": BackboneSettings(name="vit_tiny_patch16_224", size=SIZE, patch=8),
    # With the first layers for large images: without them it takes fifteen times as long.
    "resnet18": BackboneSettings(name="resnet18", size=SIZE),
}
STEPS, FINE_STEPS = Steps(400, 128), Steps(100, 128)
SHOWN, FINE_TUNED = ("kNN", "linear probe", "spread", "rank"), "fine-tuned"


@dataclass(frozen=True)
class Images:
    """steps: of every cell. learned, held: images. network: settings by name."""

    steps: Steps = STEPS
    fine_steps: Steps = FINE_STEPS
    learned: int = 8000
    held: int = 2000
    networks: Mapping[str, BackboneSettings] | None = None
    heads: Mapping[str, Mapping[str, Any]] | None = None

    def network(self, name: str) -> BackboneSettings:
        return (self.networks or NETWORKS)[name]

    def settings(self, method: str) -> Any:
        """The settings of the paper, fit to the number of images as a recipe fits them."""
        kind = METHODS[method]
        epochs = self.steps.count * self.steps.batch / self.learned
        settings, _ = kind.fit_to_data(
            kind.settings(**(self.heads or {}).get(method, {})),
            Scale(self.learned, self.steps.batch, epochs, SIZE),
        )
        if hasattr(settings.views, "locals"):
            settings = replace(settings, views=replace(settings.views, locals=2, local_size=16))
        return settings


def read_images(path: Path, budget: Images) -> HeldOut:
    """Labelled images, the same ones kept back whatever the seed.

    Raises:
        PerceptionError: They cannot be read, are too few, or have no classes.
    """
    whole = CachedImages(open_dataset(path))
    if len(whole) < budget.learned + budget.held:
        raise PerceptionError(
            f"'{path}' has {len(whole)} images, and the budget takes {budget.learned} to learn from and "
            f"{budget.held} kept back; give more images"
        )
    if len(whole.classes) < 2:
        raise PerceptionError(f"'{path}' has no classes for kNN; give a .zip or folder with a folder a class")
    order = np.random.default_rng(0).permutation(len(whole))
    held = Chosen(whole, order[-budget.held :])
    return HeldOut(Chosen(whole, order[: -budget.held][: budget.learned]), held, most=0)


def measure(cell: Cell, data: HeldOut, budget: Images, work: Work, results: Results) -> dict[str, Any]:
    """Figures at the start and at the end. Raises OutOfTimeError, PerceptionError."""
    method, views = made(cell, budget)
    start = _start(cell, method, data, results, budget)
    work.deadline.check()
    rates = train(method, views, data.learned, cell.seed, cell.key, budget.steps, work)
    work.deadline.check()
    found: dict[str, Any] = {
        "start": start,
        "end": _figures(exported_backbone(method), data),
        **{name: round(value, 1) for name, value in rates.items()},
    }
    if cell.method == "mae":
        backbone = exported_backbone(method)
        found["end"][FINE_TUNED] = fine_tuned(backbone, data, cell.seed, budget.fine_steps)
    return found


def made(cell: Cell, budget: Images) -> tuple[Method, Any]:
    """The method of a cell and its views: of one seed the same weights for both makers."""
    torch.manual_seed(cell.seed)
    settings = budget.settings(cell.method)
    ours, views = make_method(cell.method, settings, make_backbone(budget.network(cell.on)))
    return (lightly_method(cell.method, ours) if cell.maker == LIGHTLY else ours), views


def exported_backbone(method: Method) -> Backbone:
    found = method.exported()
    assert isinstance(found, Backbone)
    return found


def _start(cell: Cell, method: Method, data: HeldOut, results: Results, budget: Images) -> dict[str, float]:
    """Figures before learning, of weights that most methods begin with alike; made once."""
    own = cell.method if cell.method == "mae" else "drawn"
    key = f"{own}-{cell.on}-{cell.seed}"
    known: dict[str, float] | None = results.read()[STARTS].get(key)
    if known is None:
        backbone = exported_backbone(method)
        known = _figures(backbone, data)
        if cell.method == "mae":
            known[FINE_TUNED] = fine_tuned(backbone, data, cell.seed, budget.fine_steps)
        results.note(STARTS, key, known)
    return known


def _figures(backbone: Backbone, data: HeldOut) -> dict[str, float]:
    found = data.figures(backbone, probe=True)
    return {name: round(found[name], 4) for name in SHOWN}
