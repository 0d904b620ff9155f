"""The vectors of a batch as contrastive training meets it: images with captions, or two views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import encode_image
from perception_contrast_studio.tasks.datasets.image_sources import dataset, positives_of
from perception_contrast_studio.tasks.encoders.encoder_vectors import image_vectors, text_vectors
from perception_contrast_studio.tasks.training.pair_batch import LARGEST, pair_batch
from perception_contrast_studio.tasks.training.recipe_files import backbone_input, changed_recipe
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.data.datasets.frame_table import frames_of
from perception_contrast_training.data.datasets.samples import UNKNOWN, Images
from perception_contrast_training.data.datasets.subset import Chosen, captioned
from perception_contrast_training.data.loading.batches import ViewDataset
from perception_contrast_training.engine.negative_mask import FRAME_POSITIONS
from perception_contrast_training.losses.unit_vectors import unit

TILE = 96  # pixels of a picture's side


def views_batch(
    report: Report, path: str, recipe: str, count: int, seed: int, encoder: str
) -> dict[str, Any]:
    """Two views each of random images of a dataset.

    Args:
        report: Told of progress.
        path: Of the dataset.
        recipe: File of the recipe that makes the views, and chooses partners.
        count: Images.
        seed: Of all chance.
        encoder: Name of the model that gives the vectors.

    Returns:
        As ``pair_batch``.

    Raises:
        PerceptionError: The recipe makes one view of an image, or the data has too few images.
    """
    chosen = changed_recipe(recipe, {})
    if not chosen.kind.paired:
        raise PerceptionError(
            f"{chosen.method} makes one view of an image; choose a recipe of simclr, byol, dino or dinov2"
        )
    images = dataset(path)
    numbers = _drawn(len(images), count, seed)
    maker = chosen.kind.views(chosen.options.views, backbone_input(chosen.backbone))
    data = ViewDataset(images, maker, seed, positives_of(images, chosen.data.pairs))
    wanted = backbone_input(chosen.backbone)
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (wanted.mean, wanted.std))
    first, second, places, samples = list[Tensor](), list[Tensor](), list[Tensor](), list[dict[str, Any]]()
    for place, number in enumerate(numbers):
        report(0.3 * place / len(numbers), f"views of image {place + 1} of {len(numbers)}")
        made = data[number, place]
        both = made["views"] if "views" in made else made["globals"]
        shown = (both[:2] * std + mean).clamp(0, 1)
        first.append(shown[0])
        second.append(shown[1])
        samples.append(made)
        if FRAME_POSITIONS in made:
            places.append(made[FRAME_POSITIONS])
    vectors = image_vectors(encoder, [*first, *second], lambda done, text: report(0.3 + 0.7 * done, text))
    names = [str(one["key"]) for one in samples]
    where = torch.stack(places) if places else None
    a, b = unit(vectors[: len(numbers)]), unit(vectors[len(numbers) :])
    groups = _groups(images, samples)
    return pair_batch(a, b, names, names, _sheet(first), _sheet(second), groups, where)


def captions_batch(
    report: Report, path: str, of_classes: bool, count: int, seed: int, encoder: str
) -> dict[str, Any]:
    """Images of a dataset and their captions, or the names of their classes.

    Args:
        report: Told of progress.
        path: Of the dataset.
        of_classes: Whether classes' names are the captions.
        count: Pairs.
        seed: Of the choice.
        encoder: Name of a model of images and words.

    Returns:
        As ``pair_batch``.

    Raises:
        PerceptionError: The data has no captions, or no classes.
    """
    images = dataset(path)
    classes = tuple(getattr(images, "classes", ()))
    if of_classes:
        if not classes:
            raise PerceptionError(
                f"the images of '{path}' have no classes; give a folder with a folder for each class"
            )
        numbers = _of_different_classes(images, count, seed)
    else:
        usable = (
            captioned(images) if hasattr(images, "texts") or hasattr(images, "rows") else Chosen(images, [])
        )
        if len(usable) < 2:
            raise PerceptionError(
                f"'{path}' has no captions; give a table of paths and captions, or frames that `data extract "
                "--captions` has captioned, or take two views"
            )
        numbers = [
            int(usable.indices[one]) if isinstance(usable, Chosen) else one
            for one in _drawn(len(usable), count, seed)
        ]
    samples, pixels = list[dict[str, Any]](), list[Tensor]()
    for place, number in enumerate(numbers):
        report(0.2 * place / len(numbers), f"image {place + 1} of {len(numbers)}")
        samples.append(dict(images[number]))
        pixels.append(samples[-1].pop("image"))
    groups = _groups(images, samples)
    texts = groups if of_classes else [str(one["text"]).partition("\n")[0] for one in samples]
    a = unit(image_vectors(encoder, pixels, lambda done, text: report(0.2 + 0.7 * done, text)))
    b = unit(text_vectors(encoder, texts, report))
    frames = frames_of(images)
    where = None if frames is None else frames.where(1.0, 1.0)[numbers][:, None].repeat(1, 2, 1)
    names = [str(one["key"]) for one in samples]
    return pair_batch(a, b, names, texts, _sheet(pixels), None, groups if of_classes else texts, where)


def _drawn(available: int, count: int, seed: int) -> list[int]:
    """Random numbers in rising order, so that near frames of a recording stand side by side."""
    if available < 2:
        raise PerceptionError("a batch needs two images at least")
    rng = np.random.default_rng(seed)
    return sorted(rng.permutation(available)[: min(count, LARGEST)].tolist())


def _of_different_classes(images: Images, count: int, seed: int) -> list[int]:
    """Images drawn class by class, so that each class comes once before one comes twice."""
    labels = np.asarray(getattr(images, "labels", ()), np.int64)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    seen: dict[int, int] = {}
    rank = np.zeros(len(labels), np.int64)
    for number in order:
        label = int(labels[number])
        rank[number] = seen[label] = seen.get(label, 0) + 1
    usable = [int(number) for number in order if labels[number] != UNKNOWN]
    chosen = sorted(usable, key=lambda number: rank[number])[: min(count, LARGEST)]
    if len(chosen) < 2:
        raise PerceptionError("a batch needs two images at least")
    return sorted(chosen)


def _groups(images: Images, samples: Sequence[dict[str, Any]]) -> list[str]:
    classes = tuple(getattr(images, "classes", ()))
    labels = [int(one.get("label", UNKNOWN)) for one in samples]
    return [classes[label] if 0 <= label < len(classes) else "" for label in labels]


def _sheet(images: Sequence[Tensor]) -> bytes:
    """JPEG of square pictures, cut from the middle, side by side."""
    tiles = []
    for image in images:
        levels = (image * 255).round().to(torch.uint8) if image.is_floating_point() else image
        pixels = levels.permute(1, 2, 0).numpy()
        side = min(pixels.shape[:2])
        top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
        middle = np.ascontiguousarray(pixels[top : top + side, left : left + side])
        tiles.append(cv2.resize(middle, (TILE, TILE), interpolation=cv2.INTER_AREA))
    return encode_image(np.concatenate(tiles, axis=1).astype(np.uint8), ".jpg")
