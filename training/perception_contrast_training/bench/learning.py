"""Does each method learn? kNN before and after a fixed budget of steps, and beside lightly's methods.

    python -m perception_contrast_training.bench.learning --data IMAGES --output FOLDER

IMAGES: a .zip or folder with a folder a class. A cell is a method on a network with a seed; cells that
``figures.json`` has already are not run again, so a long measurement can be made in pieces.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from perception_contrast.core.cache import atomic_write
from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.bench.timed import trained_rate
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.evaluation.report import Outcome, Table, markdown
from perception_contrast_training.methods.base import Method
from perception_contrast_training.methods.registry import METHODS, make_method
from perception_contrast_training.methods.scaling import Scale
from perception_contrast_training.networks.backbones import Backbone, BackboneSettings, make_backbone

logger = logging.getLogger(__name__)

SIZE = 32
NETWORKS = {
    "vit": BackboneSettings(
        name="vit_tiny_patch16_224", size=SIZE, patch=8, width=64, depth=3, heads=2, drop_path=0.0
    ),
    "resnet": BackboneSettings(name="test_resnet", size=SIZE),
}
ALONE = ("simclr", "byol", "dino", "dinov2", "mae")
NEED_VIT = ("dinov2", "mae")
# Heads as large as networks of this size can use; the rest is as published, fitted to few small images.
HEADS: Mapping[str, Mapping[str, Any]] = {
    "byol": {"hidden": 512, "dim": 128},
    "dino": {"hidden": 512, "bottleneck": 128},
    "dinov2": {"hidden": 512, "bottleneck": 128},
    "mae": {"width": 96, "depth": 2, "heads": 3},
}


@dataclass(frozen=True)
class Budget:
    """Of every cell alike. AdamW for all, so that what differs is the method alone."""

    steps: int = 400
    batch: int = 128
    learning_rate: float = 1e-3
    learned: int = 8000
    held: int = 2000


def settings_for(method: str, budget: Budget) -> Any:
    """The settings of the paper, with small heads, fit to the number of images."""
    kind = METHODS[method]
    plain = kind.settings(**HEADS.get(method, {}))
    scale = Scale(budget.learned, budget.batch, budget.steps * budget.batch / budget.learned, SIZE)
    settings, _ = kind.fit_to_data(plain, scale)
    if hasattr(settings.views, "locals"):
        settings = replace(settings, views=replace(settings.views, locals=2, local_size=16))
    return settings


def measure(
    method: str, network: str, seed: int, data: HeldOut, budget: Budget, maker: str = "ours"
) -> dict[str, float]:
    """kNN at the start and at the end, and images a second without the making of views."""
    torch.manual_seed(seed)
    backbone = make_backbone(NETWORKS[network])
    made, views = _made(method, backbone, budget, maker)
    before = data.figures(exported_backbone(made))["kNN"]
    rate = trained_rate(
        made, views, data.learned, seed, f"{maker} {method} {network} {seed}",
        steps=budget.steps, batch=budget.batch, learning_rate=budget.learning_rate, clip=3.0,
    )  # fmt: skip
    return {
        "before": before,
        "after": data.figures(exported_backbone(made))["kNN"],
        "images per second": rate,
    }


def _made(method: str, backbone: Backbone, budget: Budget, maker: str) -> tuple[Method, Any]:
    settings = settings_for(method, budget)
    made, views = make_method(method, settings, backbone)
    if maker == "ours":
        return made, views
    from perception_contrast_training.bench.lightly_methods import lightly_method

    return lightly_method(method, backbone, settings), views


def exported_backbone(method: Method) -> Backbone:
    found = method.exported()
    assert isinstance(found, Backbone)
    return found


def report(figures: Mapping[str, Mapping[str, float]]) -> str:
    """A table with a row for each method and network: means over seeds, and half their range."""
    cells: dict[tuple[str, str, str], list[Mapping[str, float]]] = {}
    for key, found in figures.items():
        maker, method, network, _ = key.split()
        cells.setdefault((method, network, maker), []).append(found)
    rows = []
    for (method, network, maker), many in sorted(cells.items()):
        spread = [max(one[k] for one in many) - min(one[k] for one in many) for k in ("before", "after")]
        means = [statistics.fmean(one[k] for one in many) for k in ("before", "after", "images per second")]
        rows.append(
            (f"{method}, {network}, {maker}", len(many), means[0], spread[0] / 2, means[1], spread[1] / 2,
             round(means[2]))
        )  # fmt: skip
    headings = ("method", "seeds", "kNN at start", "±", "kNN", "±", "images/s")
    return markdown(Outcome({}, [Table("Learning", headings, rows)]))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0. Raises PerceptionError for data that cannot be read."""
    budget = Budget()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=Path("runs/bench_train"))
    parser.add_argument("--methods", nargs="+", choices=ALONE, default=ALONE)
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--makers", nargs="+", choices=("ours", "lightly"), default=["ours", "lightly"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--steps", type=int, default=budget.steps)
    parser.add_argument("--batch", type=int, default=budget.batch)
    options = parser.parse_args(argv)
    budget = replace(budget, steps=options.steps, batch=options.batch)
    whole = CachedImages(open_dataset(options.data))
    order = np.random.default_rng(0).permutation(len(whole))
    held = Chosen(whole, order[-budget.held :])
    data = HeldOut(Chosen(whole, order[: -budget.held][: budget.learned]), held, most=0)
    path = options.output / "figures.json"
    figures: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.is_file() else {}
    for maker, method, network, seed in _cells(options):
        key = f"{maker} {method} {network} {seed}"
        if key not in figures:
            figures[key] = measure(method, network, seed, data, budget, maker)
            print(key, {name: round(value, 4) for name, value in figures[key].items()}, flush=True)
            atomic_write(path, json.dumps(figures, indent=1).encode())
    print(report(figures))
    return 0


def _cells(options: argparse.Namespace) -> list[tuple[str, str, str, int]]:
    from perception_contrast_training.bench.lightly_methods import THERE

    pairs = [
        (method, network, seed)
        for seed in options.seeds
        for network in options.networks
        for method in options.methods
        if not (network == "resnet" and method in NEED_VIT)
    ]
    # In turns, so that neither maker is always the one that runs on a machine that is warm.
    return [
        (maker, *pair)
        for turn, pair in enumerate(pairs)
        for maker in options.makers[:: 1 if turn % 2 == 0 else -1]
        if maker == "ours" or pair[0] in THERE
    ]


if __name__ == "__main__":
    raise SystemExit(main())
