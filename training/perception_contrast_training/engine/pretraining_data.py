"""The images of a pretraining run: those to learn from, those kept back, and pairs of frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import DataSettings, PretrainRecipe
from perception_contrast_training.data.datasets.frame_lists import FrameLists, chosen_by
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen, captioned
from perception_contrast_training.data.pairs.positive_pairs import PositivePairs, find_positive_pairs
from perception_contrast_training.evaluation.held_out import column, split
from perception_contrast_training.evaluation.held_out_figures import HeldOut


@dataclass(frozen=True)
class PretrainingData:
    """learned: images to learn from. held: those kept back, None where none are."""

    learned: Images
    held: Images | None


def open_data(
    recipe: PretrainRecipe, lists: FrameLists | None = None, *, exact: bool = True
) -> PretrainingData:
    """Opens a recipe's images and keeps some back.

    Args:
        recipe: What says where they are and how many are kept back.
        lists: Which are which, as a run noted at its start; None to split them now.
        exact: Whether every listed image to learn from must still be there.

    Raises:
        PerceptionError: The data is not there, or lacks what the method needs or the lists name.
    """
    settings = recipe.data
    if not settings.path:
        raise PerceptionError("the recipe names no data; give --set data.path=FOLDER")
    if lists is not None:
        every = _every_image(settings)
        learned = chosen_by(lists.learned, every, settings.path, exact=exact)
        assert learned is not None
        return PretrainingData(learned, chosen_by(lists.held, every, settings.path, exact=False))
    images = _usable(recipe, _opened(settings, settings.part or None))
    if settings.held_out_part:
        held_out = _opened(settings, settings.held_out_part)
        return PretrainingData(images, _usable(recipe, held_out))
    if not settings.held_out or len(images) < 2:
        return PretrainingData(images, None)
    learned, held = split(
        len(images), settings.held_out, seed=recipe.seed,
        stamps=column(images, "stamps"), groups=column(images, "groups"),
    )  # fmt: skip
    return PretrainingData(Chosen(images, learned), Chosen(images, held))


def _opened(settings: DataSettings, part: str | None) -> Images:
    return open_dataset(settings.path, part=part, classes=settings.classes)


def _every_image(settings: DataSettings) -> Images:
    """Without parts and with near-duplicates: what a list may name."""
    return open_dataset(settings.path, duplicates=True, classes=settings.classes)


def with_data_at(recipe: PretrainRecipe, path: str = "") -> PretrainRecipe:
    """The recipe with an absolute ``data.path``: the given one, else its own from the working directory."""
    wanted = path or recipe.data.path
    if not wanted:
        return recipe
    return replace(recipe, data=replace(recipe.data, path=str(Path(wanted).expanduser().absolute())))


def _usable(recipe: PretrainRecipe, images: Images) -> Images:
    """Those with captions, for a method that learns from captions."""
    if not recipe.kind.texts:
        return images
    with_captions = captioned(images)
    if not len(with_captions):
        raise PerceptionError(
            f"'{recipe.data.path}' has no captions, and {recipe.method} learns from images with captions; "
            "give a table of paths and captions, or choose simclr, byol, dino, dinov2 or mae"
        )
    return with_captions


def positive_pairs_in(recipe: PretrainRecipe, data: PretrainingData) -> PositivePairs | None:
    """As ``find_positive_pairs``, among the images to learn from: none comes from those kept back."""
    settings, negatives = recipe.data.pairs, recipe.kind.negatives
    return find_positive_pairs(data.learned, settings, recipe.data.path, negatives=negatives)


def held_out_of(recipe: PretrainRecipe, data: PretrainingData) -> HeldOut | None:
    """What measures an encoder on the images kept back, None where none are."""
    if data.held is None:
        return None
    return HeldOut(data.learned, data.held, recipe.measure.images, recipe.data.workers)
