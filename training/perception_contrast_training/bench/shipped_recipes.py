"""Does a shipped recipe keep its encoder alive? kNN, spread and rank of the features before and after.

    python -m perception_contrast_training.bench.shipped_recipes --data IMAGES

IMAGES: a .zip or folder with a folder a class. A recipe is run as it is shipped, on a small network, few
steps and small images: its optimiser, rates, decay, temperatures and heads' kinds stay as they are.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe, read_recipe, settled
from perception_contrast_training.config.shipped_recipes import recipe_path
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.report import Outcome, Table, markdown
from perception_contrast_training.networks.backbones import Backbone

VIT = (
    "backbone.name=vit_tiny_patch16_224", "backbone.size=32", "backbone.patch=8", "backbone.width=64",
    "backbone.depth=3", "backbone.heads=2",
)  # fmt: skip
RESNET = ("backbone.name=test_resnet", "backbone.size=32")
SMALLER = ("optimisation.batch=128", "optimisation.steps=100", "optimisation.precision=float32")
SMALLER_HEADS = {
    "byol": ("options.hidden=512", "options.dim=128"),
    "dino": ("options.hidden=512", "options.bottleneck=128", "options.views={locals: 2, local_size: 16}"),
    "dinov2": ("options.hidden=512", "options.bottleneck=128", "options.views={locals: 2, local_size: 16}"),
    "mae": ("options.width=96", "options.depth=2", "options.heads=3"),
}
RECIPES = ("simclr_scratch", "byol_scratch", "dino_scratch", "dinov2_scratch", "mae_scratch")


@dataclass(frozen=True)
class EncoderFigures:
    """Of features of held-out images. knn: accuracy. spread: 1 evenly on a sphere, 0 in one point. rank:
    RankMe."""

    knn: float
    spread: float
    rank: float


@dataclass(frozen=True)
class BeforeAndAfter:
    """Figures of the encoder that is exported, at the start and at the end of a run."""

    before: EncoderFigures
    after: EncoderFigures


def small_recipe(name: str, changes: Sequence[str] = ()) -> PretrainRecipe:
    """A shipped recipe scaled in size.

    Args:
        name: Of the recipe, such as "simclr_scratch".
        changes: More changes "key=value"; a network with its own keys replaces the small ViT.
    """
    network = () if any(change.startswith("backbone.name=") for change in changes) else VIT
    heads = SMALLER_HEADS.get(name.partition("_")[0], ())
    return read_recipe(recipe_path(name), [*network, *SMALLER, *heads, *changes])


def run_small(recipe: PretrainRecipe, learned: Images, held: Images) -> BeforeAndAfter:
    """Trains by a recipe, without writing anything.

    Args:
        recipe: Of ``small_recipe``.
        learned: Images to learn from.
        held: Labelled images for the figures.
    """
    measured = HeldOut(learned, held)
    backbone = initial_backbone(recipe)
    recipe, _ = settled(recipe, len(learned), backbone.size)
    method, views = method_of(recipe, backbone)
    before = _figures(measured, method.exported())
    order = Order(len(learned), recipe.optimisation.batch, recipe.seed)
    trainer = Trainer(method, recipe.optimisation, epoch_steps=order.pass_batches, seed=recipe.seed)
    source = batches(learned, views, order)
    for _ in tracked(range(recipe.optimisation.steps), recipe.name, recipe.optimisation.steps):
        trainer.step(next(source))
    return BeforeAndAfter(before, _figures(measured, method.exported()))


def _figures(measured: HeldOut, encoder: torch.nn.Module) -> EncoderFigures:
    assert isinstance(encoder, Backbone)
    found = measured.figures(encoder)
    return EncoderFigures(found.get("kNN", float("nan")), found["spread"], found["rank"])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="IMAGES")
    parser.add_argument("--recipe", nargs="+", default=RECIPES, metavar="NAME", help="default: %(default)s")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    parser.add_argument("--resnet", action="store_true", help="a small ResNet in place of the small ViT")
    parser.add_argument("--learned", type=int, default=2000, help="images (default: %(default)s)")
    parser.add_argument("--held", type=int, default=1000, help="images (default: %(default)s)")
    options = parser.parse_args(argv)
    images = open_dataset(options.data)
    chosen = np.random.default_rng(0).permutation(len(images))[: options.learned + options.held]
    learned = CachedImages(Chosen(images, chosen[: options.learned]))
    held = CachedImages(Chosen(images, chosen[options.learned :]))
    rows: list[Sequence[str | float]] = []
    for name in options.recipe:
        recipe = small_recipe(name, [*(RESNET if options.resnet else ()), *options.set])
        found = run_small(recipe, learned, held)
        for when, figures in (("before", found.before), ("after", found.after)):
            optimiser = recipe.optimisation.optimiser
            rows.append([name, optimiser, when, figures.knn, figures.spread, figures.rank])
    table = Table("Encoders", ["recipe", "optimiser", "when", "kNN", "spread", "RankMe"], rows)
    print(markdown(Outcome({}, [table])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
