"""The images of a pretraining run: those to learn from, those kept back, and pairs of frames."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.config.pretraining_recipe import DataSettings, PretrainRecipe
from perception_contrast_training.data.datasets.frame_lists import FrameLists, chosen_by
from perception_contrast_training.data.datasets.joined import Joined
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen, captioned
from perception_contrast_training.data.pairs.positive_pairs import PositivePairs, find_positive_pairs
from perception_contrast_training.evaluation.held_out import column, split
from perception_contrast_training.evaluation.held_out_figures import HeldOut
from perception_contrast_training.storage.place import is_address


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
        if not is_address(settings.path) and not Path(settings.path).exists():
            raise PerceptionError(
                f"data '{settings.path}' of the run does not exist; say with --data where the images are now"
            )
        every = _every_image(settings)
        learned = chosen_by(lists.learned, every, settings.path, exact=exact)
        assert learned is not None
        return PretrainingData(learned, chosen_by(lists.held, every, settings.path, exact=False))
    sources = [_split(recipe, path) for path in (settings.path, *settings.also)]
    if not settings.also:
        return sources[0]
    held = [source.held for source in sources if source.held is not None]
    return PretrainingData(Joined([source.learned for source in sources]), Joined(held) if held else None)


def _split(recipe: PretrainRecipe, path: str) -> PretrainingData:
    """The images at one path: each keeps its own share back, of recordings the end."""
    settings = recipe.data
    images = _usable(recipe, _opened(settings, path, settings.part or None))
    if settings.held_out_part:
        held_out = _opened(settings, path, settings.held_out_part)
        return PretrainingData(images, _usable(recipe, held_out))
    if not settings.held_out or len(images) < 2:
        return PretrainingData(images, None)
    learned, held = split(
        len(images), settings.held_out, seed=recipe.seed,
        stamps=column(images, "stamps"), groups=column(images, "groups"),
    )  # fmt: skip
    return PretrainingData(Chosen(images, learned), Chosen(images, held))


def _opened(settings: DataSettings, path: str, part: str | None) -> Images:
    return open_dataset(path, part=part, classes=settings.classes, reader=settings.reader)


def _every_image(settings: DataSettings) -> Images:
    """Without parts and with near-duplicates: what a list may name."""
    opened = [
        open_dataset(path, duplicates=True, classes=settings.classes, reader=settings.reader)
        for path in (settings.path, *settings.also)
    ]
    return Joined(opened) if settings.also else opened[0]


def with_data_at(recipe: PretrainRecipe, path: str = "") -> PretrainRecipe:
    """The recipe with an absolute ``data.path``: the given one, else its own from the working directory."""
    wanted = path or recipe.data.path
    settings = replace(recipe.data, path=_absolute(wanted), also=tuple(map(_absolute, recipe.data.also)))
    return replace(recipe, data=settings)


def _absolute(path: str) -> str:
    """From the working directory; an address and "" as they are."""
    return path if not path or is_address(path) else str(Path(path).expanduser().absolute())


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
