"""A recipe's views of one image, by training's own code, with all steps on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perception_contrast.images.files import encode_image
from perception_contrast.images.resize import shrink_image
from perception_contrast_studio.tasks.datasets.image_sources import chosen_image, positives_of
from perception_contrast_studio.tasks.encoders.encoder_vectors import image_vectors
from perception_contrast_studio.tasks.training.recipe_files import Changes, backbone_input, changed_recipe
from perception_contrast_studio.tasks.training.view_controls import controls
from perception_contrast_studio.workers.worker_process import Report
from perception_contrast_training.config.pretraining_recipe import PretrainRecipe
from perception_contrast_training.data.loading.batches import ViewDataset
from perception_contrast_training.losses.unit_vectors import unit
from perception_contrast_training.views.observer import CROP, SOURCE, ViewStep, observing
from perception_contrast_training.views.view_transform import BackboneInput

SHOWN = 640  # pixels of a source's longer side
HIDDEN = 0.5  # grey of a hidden patch
MASKED = "masked"


@dataclass(frozen=True)
class SeenViews:
    """What training makes of an image.

    Attributes:
        made: Tensors by name, as a batch gets them.
        sources: (3, h, w) uint8 images that the views show: the image, and its partner if there is one.
        views: The steps of each view, without SOURCE.
        shown: For each view the number of its source.
        text: The caption that was drawn, "" for none.
    """

    made: Mapping[str, Any]
    sources: list[Tensor]
    views: list[list[ViewStep]]
    shown: list[int]
    text: str


def recipe(report: object, path: str) -> dict[str, Any]:
    """What a visitor may change of a recipe's views.

    Returns:
        ``method``, ``seed``, ``size`` and ``patch`` of the backbone in pixels, ``pairs`` (kind of partner)
        and ``controls`` as of ``view_controls.controls``.
    """
    chosen = changed_recipe(path, {})
    wanted = backbone_input(chosen.backbone)
    return {
        "method": chosen.method,
        "seed": chosen.seed,
        "size": wanted.size,
        "patch": wanted.patch,
        "pairs": chosen.data.pairs.kind,
        "controls": controls(chosen, wanted),
    }


def seen_views(
    chosen: PretrainRecipe, wanted: BackboneInput, source: Mapping[str, Any], seed: int, draw: int
) -> SeenViews:
    """The views that a run with this seed makes at place ``draw`` of its order."""
    images, index = chosen_image(source)
    maker = chosen.kind.views(chosen.options.views, wanted)
    pairs = positives_of(images, chosen.data.pairs) if chosen.kind.paired else None
    steps: list[ViewStep] = []
    with observing(steps.append):
        made = ViewDataset(images, maker, seed, pairs)[index, draw]
    sources: list[Tensor] = []
    views: list[list[ViewStep]] = []
    shown: list[int] = []
    for step in steps:
        if step.name != SOURCE:
            views[-1].append(step)
            continue
        assert step.image is not None
        known = [number for number, one in enumerate(sources) if one is step.image]
        if not known:
            sources.append(step.image)
        shown.append(known[0] if known else len(sources) - 1)
        views.append([])
    _add_masks(views, made, chosen, wanted.patch)
    return SeenViews(made, sources, views, shown, str(made.get("text", "")))


def _add_masks(
    views: list[list[ViewStep]], made: Mapping[str, Any], chosen: PretrainRecipe, patch: int
) -> None:
    """Adds what the student is shown of a view, where its method hides patches."""
    if "masks" in made:
        hidden = list(made["masks"])
    elif "noise" in made:
        noise = made["noise"]
        order = noise.argsort()
        hidden = [torch.ones(len(noise), dtype=torch.bool)]
        hidden[0][order[: int(len(noise) * (1 - chosen.options.ratio))]] = False
    else:
        return
    for steps, mask in zip(views, hidden, strict=False):
        last = as_float(final_image(steps))
        side = last.shape[-1] // patch
        large = mask.reshape(side, side).repeat_interleave(patch, 0).repeat_interleave(patch, 1)
        image = torch.where(large, HIDDEN, last) if bool(mask.any()) else None
        steps.append(ViewStep(MASKED, image, {"share": float(mask.float().mean())}))


def final_image(steps: list[ViewStep]) -> Tensor:
    """The image of a view, before its patches are hidden."""
    images = [one.image for one in steps if one.image is not None and one.name != MASKED]
    return images[-1]


def as_float(image: Tensor) -> Tensor:
    """In [0, 1]."""
    return image if image.is_floating_point() else image.float() / 255.0


def views(
    report: object, path: str, changes: Changes, source: Mapping[str, Any], seed: int, draw: int
) -> dict[str, Any]:
    """The views of an image, step by step, as JPEGs.

    Args:
        report: Not used.
        path: Of the recipe.
        changes: To its values.
        source: As of ``image_sources.chosen_image``.
        seed: Of the run.
        draw: Place in the run's order; with the seed it settles all chance.

    Returns:
        ``sources``: for each its ``jpeg``, ``height`` and ``width``. ``views``: for each its ``title``, the
        number of its ``source``, its ``box`` (left, top, width, height as shares of the source) and ``steps``
        of ``name``, ``jpeg`` (None where chance left the step out) and ``values``. ``text``: of the image.
    """
    chosen = changed_recipe(path, changes)
    seen = seen_views(chosen, backbone_input(chosen.backbone), source, seed, draw)
    titles = view_titles(chosen.method, len(seen.views))
    return {
        "sources": [_source(one) for one in seen.sources],
        "views": [
            {
                "title": title,
                "source": shown,
                "box": _box(steps, seen.sources[shown]),
                "steps": [
                    {
                        "name": one.name,
                        "jpeg": None if one.image is None else _jpeg(_pixels(one.image)),
                        "values": dict(one.values),
                    }
                    for one in steps
                ],
            }
            for title, steps, shown in zip(titles, seen.views, seen.shown, strict=True)
        ],
        "text": seen.text,
    }


def view_titles(method: str, count: int) -> list[str]:
    """What the views of a method are called."""
    if method in ("dino", "dinov2"):
        return ["global 1", "global 2", *(f"local {number}" for number in range(1, count - 1))]
    return ["view"] if count == 1 else [f"view {number}" for number in range(1, count + 1)]


def cosines(
    report: Report,
    path: str,
    changes: Changes,
    source: Mapping[str, Any],
    seed: int,
    draw: int,
    encoder: str,
) -> dict[str, Any]:
    """How alike an encoder finds the views, and what each step changes.

    Args:
        report: Told of progress.
        path: As of ``views``.
        changes: As of ``views``.
        source: As of ``views``.
        seed: As of ``views``.
        draw: As of ``views``.
        encoder: A model's name.

    Returns:
        ``steps``: for each view and step the cosine with the image before the step, None where there is no
        step. ``sources``: for each view the cosine of its image with its source. ``between``: (v, v) of the
        views' images.
    """
    chosen = changed_recipe(path, changes)
    seen = seen_views(chosen, backbone_input(chosen.backbone), source, seed, draw)
    images = list(seen.sources)
    places: list[list[int | None]] = []
    for steps in seen.views:
        place: list[int | None] = []
        for one in steps:
            if one.image is not None:
                images.append(as_float(one.image))
            place.append(None if one.image is None else len(images) - 1)
        places.append(place)
    vectors = unit(image_vectors(encoder, images, report))
    finals = [_last_unmasked(place, steps) for place, steps in zip(places, seen.views, strict=True)]
    return {
        "steps": [_along(vectors, shown, place) for shown, place in zip(seen.shown, places, strict=True)],
        "sources": [
            float(vectors[final] @ vectors[shown]) for final, shown in zip(finals, seen.shown, strict=True)
        ],
        "between": (vectors[finals] @ vectors[finals].T).tolist(),
    }


def _last_unmasked(place: list[int | None], steps: list[ViewStep]) -> int:
    return [at for at, one in zip(place, steps, strict=True) if at is not None and one.name != MASKED][-1]


def _along(vectors: Tensor, source: int, place: list[int | None]) -> list[float | None]:
    """The cosine of each step's image with the one before it."""
    before, found = source, list[float | None]()
    for at in place:
        found.append(None if at is None else float(vectors[before] @ vectors[at]))
        before = before if at is None else at
    return found


def _box(steps: list[ViewStep], source: Tensor) -> list[float]:
    values = next(one.values for one in steps if one.name == CROP)
    height, width = source.shape[-2:]
    return [
        values["left"] / width,
        values["top"] / height,
        values["width"] / width,
        values["height"] / height,
    ]


def _pixels(image: Tensor) -> NDArray[np.uint8]:
    """(h, w, 3) uint8."""
    levels = image if not image.is_floating_point() else (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(1, 2, 0).contiguous().numpy()


def _source(image: Tensor) -> dict[str, Any]:
    pixels = _pixels(image)
    height, width = pixels.shape[:2]
    pixels = shrink_image(pixels, SHOWN)
    return {"jpeg": _jpeg(pixels), "height": height, "width": width}


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    return encode_image(pixels, ".jpg")
