"""Images with captions to learn from, and others to ask about: rendered things, or photographs by class."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import torchvision.transforms.v2.functional as tf
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.bench.cached_images import CachedImages
from perception_contrast_training.data.datasets.open_dataset import open_dataset
from perception_contrast_training.data.datasets.samples import Images
from perception_contrast_training.data.datasets.subset import Chosen
from perception_contrast_training.data.datasets.tables import TableDataset
from perception_contrast_training.household.close_ups import CloseUps, write_table

SEED = 0
"""Of what is rendered to learn from; what is asked about has the next one."""
SIDE = 160  # pixels of the shorter side that is kept of a photograph
KEPT_BACK = 4  # one in so many photographs of a class is asked about
PHRASES = ("a {}", "a photo of a {}", "a close photo of a {}", "a picture that shows a {}")


@dataclass(frozen=True)
class Captioned:
    """learned: images with captions, a phrase a line. asked: others, with a class and one caption each."""

    learned: Images
    asked: CachedImages


def scenes(folder: Path, shown: CloseUps) -> Captioned:
    """Rendered household things; what is asked about has other shapes in other rooms.

    Raises:
        PerceptionError: The simulator or its assets are absent.
    """
    rooms = CloseUps(**(vars(shown) | {"looks": max(1, shown.looks // 4)}))
    learned = CachedImages(TableDataset(write_table(folder / "learned", shown, SEED)))
    asked = CachedImages(TableDataset(write_table(folder / "asked", rooms, SEED + 1, plain=True)))
    return Captioned(learned, asked)


def photographs(path: Path) -> Captioned:
    """Photographs in a folder a class, whose name is what captions say.

    Raises:
        PerceptionError: They cannot be read, or have no classes.
    """
    images = CachedImages(open_dataset(path, transform=_smaller))
    if len(images.classes) < 2:
        raise PerceptionError(
            f"'{path}' has no classes to make captions of; give a folder with a folder a class"
        )
    images.classes = tuple(PurePosixPath(name).name.replace("_", " ") for name in images.classes)
    labels = np.array([images[index]["label"] for index in range(len(images))])
    chance = np.random.default_rng(SEED)
    held: list[int] = []
    for label in range(len(images.classes)):
        rows = chance.permutation(np.flatnonzero(labels == label))
        held += rows[: len(rows) // KEPT_BACK].tolist()
    rest = np.setdiff1d(np.flatnonzero(labels >= 0), held)
    asked, learned = images.with_text(PHRASES[1], held), images.with_text("\n".join(PHRASES), rest)
    return Captioned(Chosen(learned, range(len(learned))), asked)


def _smaller(image: Tensor) -> Tensor:
    h, w = image.shape[-2:]
    scale = SIDE / min(h, w)
    if scale >= 1:
        return image
    shape = [max(SIDE, round(h * scale)), max(SIDE, round(w * scale))]
    small: Tensor = tf.resize(image, shape, tf.InterpolationMode.BICUBIC, antialias=True)
    return small.to(torch.uint8)
