"""Does a shipped recipe keep its encoder alive? kNN, spread and rank of the features before and after.

    python -m perception_contrast_training.bench.shipped_recipes --data IMAGES

IMAGES: a .zip or folder with a folder a class, whose name is the captions of its images. A recipe is run
as it is shipped, on a small network, few steps and small images: its optimiser, rates, decay, temperatures
and heads' kinds stay as they are. Recipes that go on from weights go on from those of a small encoder that
was trained by ``simclr_scratch``, or of a small pair by ``clip_scratch`` or ``siglip_scratch``.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.config.pretraining_recipe import (
    PretrainRecipe,
    is_pretraining,
    read_recipe,
    settled,
)
from perception_contrast_training.config.schema import read_mapping
from perception_contrast_training.config.shipped_recipes import recipe_path, shipped
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.data.loading.batches import batches
from perception_contrast_training.data.loading.order import Order
from perception_contrast_training.engine.load_run import TrainedRun
from perception_contrast_training.engine.recipe_method import initial_backbone, method_of, towers_of
from perception_contrast_training.engine.trainer import Trainer
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.evaluation.progress import tracked
from perception_contrast_training.evaluation.report import Outcome, Table, markdown
from perception_contrast_training.export.export_files import served_by, write_model
from perception_contrast_training.export.export_run import spec_of
from perception_contrast_training.methods.base import Method
from perception_contrast_training.networks.two_towers import Network

VIT = (
    "backbone.name=vit_tiny_patch16_224", "backbone.size=32", "backbone.patch=8", "backbone.width=64",
    "backbone.depth=3", "backbone.heads=2",
)  # fmt: skip
RESNET = ("backbone.name=test_resnet", "backbone.size=32")
SMALLER = ("optimisation.batch=128", "optimisation.steps=100", "optimisation.precision=float32")
CAPTION = "a photo of a {}"
SMALLER_TEXT = ("options.text.width=64", "options.text.depth=2", "options.text.heads=2")
SMALLER_HEADS = {
    "byol": ("options.hidden=512", "options.dim=128"),
    "dino": ("options.hidden=512", "options.bottleneck=128", "options.views={locals: 2, local_size: 16}"),
    "dinov2": ("options.hidden=512", "options.bottleneck=128", "options.views={locals: 2, local_size: 16}"),
    "mae": ("options.width=96", "options.depth=2", "options.heads=3"),
    "clip": ("options.dim=64", *SMALLER_TEXT),
    "siglip": ("options.dim=64", *SMALLER_TEXT),
    "lit": SMALLER_TEXT,
}
# What a recipe that goes on from weights starts from: of its own towers, or of images alone.
OWN_TOWERS = {"pair_adapt": "clip_scratch", "pair_lora": "siglip_scratch"}
IMAGES_ALONE = "simclr_scratch"


def recipes() -> list[str]:
    """All that come along and train an encoder; the household's fit heads to one that stays as it is."""
    return [name for name, (path, _) in shipped().items() if is_pretraining(read_mapping(path, ()))]


@dataclass(frozen=True)
class EncoderFigures:
    """Of features of held-out images. knn: accuracy. spread: 1 evenly on a sphere, 0 in one point. rank:
    RankMe. zero_shot: accuracy by the names of classes, NaN without a text tower."""

    knn: float
    spread: float
    rank: float
    zero_shot: float


@dataclass(frozen=True)
class BeforeAndAfter:
    """Figures of the encoder that is exported, at the start and at the end of a run."""

    before: EncoderFigures
    after: EncoderFigures


def small_recipe(name: str, changes: Sequence[str] = (), start: Path | None = None) -> PretrainRecipe:
    """A shipped recipe scaled in size.

    Args:
        name: Of the recipe, such as "simclr_scratch".
        changes: More changes "key=value"; a network with its own keys replaces the small ViT.
        start: Folder of the model whose weights it goes on from, None for random ones.
    """
    if start is not None:
        network: Sequence[str] = (f"backbone.name={start}", "backbone.size=32")
    else:
        network = () if any(change.startswith("backbone.name=") for change in changes) else VIT
    heads = SMALLER_HEADS.get(name.partition("_")[0], ())
    return read_recipe(recipe_path(name), [*network, *SMALLER, *heads, *changes])


def run_small(recipe: PretrainRecipe, learned: Images, held: Images) -> tuple[BeforeAndAfter, TrainedRun]:
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
    before = _figures(measured, method)
    order = Order(len(learned), recipe.optimisation.batch, recipe.seed)
    trainer = Trainer(method, recipe.optimisation, epoch_steps=order.pass_batches, seed=recipe.seed)
    source = batches(learned, views, order)
    for _ in tracked(range(recipe.optimisation.steps), recipe.name, recipe.optimisation.steps):
        trainer.step(next(source))
    trained = TrainedRun(recipe, method, recipe.optimisation.steps)
    return BeforeAndAfter(before, _figures(measured, method)), trained


def _figures(measured: HeldOut, method: Method) -> EncoderFigures:
    found = measured.figures(cast(Network, method.exported()), pair=towers_of(method))
    missing = float("nan")
    return EncoderFigures(
        found.get("kNN", missing), found["spread"], found["rank"], found.get("zero-shot", missing)
    )


@dataclass(frozen=True)
class Starts:
    """Small models to go on from, trained when they are first asked for.

    Attributes:
        folder: Where they are written.
        learned, held: Images.
        changes: Of the recipes that train them.
    """

    folder: Path
    learned: Images
    held: Images
    changes: Sequence[str] = ()

    def of(self, name: str) -> Path | None:
        """Folder of what a shipped recipe goes on from, None where that is random weights."""
        if not read_recipe(recipe_path(name)).adapts:
            return None
        source = OWN_TOWERS.get(name, IMAGES_ALONE)
        folder = self.folder / source
        if not folder.is_dir():
            recipe = small_recipe(source, self.changes)
            _, trained = run_small(recipe, self.learned, self.held)
            folder.mkdir()
            write_model(folder, spec_of(trained), served_by(trained), trained.backbone.size)
        return folder


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, metavar="IMAGES")
    parser.add_argument("--recipe", nargs="+", default=recipes(), metavar="NAME", help="default: all")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="may be repeated")
    parser.add_argument("--resnet", action="store_true", help="a small ResNet in place of the small ViT")
    parser.add_argument("--steps", type=int, default=100, help="of a recipe (default: %(default)s)")
    parser.add_argument("--start-steps", type=int, default=300, help="of a start (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=128, help="images of a step (default: %(default)s)")
    parser.add_argument("--learned", type=int, default=2000, help="images (default: %(default)s)")
    parser.add_argument("--held", type=int, default=1000, help="images (default: %(default)s)")
    options = parser.parse_args(argv)
    images = open_dataset(options.data)
    chosen = np.random.default_rng(0).permutation(len(images))[: options.learned + options.held]
    learned = CachedImages(Chosen(images, chosen[: options.learned]), caption=CAPTION)
    held = CachedImages(Chosen(images, chosen[options.learned :]), caption=CAPTION)
    rows: list[Sequence[str | float]] = []
    with tempfile.TemporaryDirectory() as folder:
        batch = f"optimisation.batch={options.batch}"
        first = [batch, f"optimisation.steps={options.start_steps}"]
        starts = Starts(Path(folder), learned, held, first)
        for name in options.recipe:
            start = starts.of(name)
            few = [batch, f"optimisation.steps={options.steps}"]
            network = RESNET if options.resnet and start is None else ()
            recipe = small_recipe(name, [*network, *few, *options.set], start)
            found, _ = run_small(recipe, learned, held)
            for when, of in (("before", found.before), ("after", found.after)):
                optimiser = recipe.optimisation.optimiser
                rows.append([name, optimiser, when, of.knn, of.spread, of.rank, of.zero_shot])
            print(name, found, flush=True)
    headings = ["recipe", "optimiser", "when", "kNN", "spread", "RankMe", "zero-shot"]
    print(markdown(Outcome({}, [Table("Encoders", headings, rows)])))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
