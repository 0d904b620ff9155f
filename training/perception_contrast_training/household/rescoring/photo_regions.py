"""Regions of labelled photographs seen enlarged, pooled, with what is known of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.rescoring_head import Pooled
from perception_contrast.images.resize import resize_image, resize_labels
from perception_contrast.preprocessing.region_crops import form_of
from perception_contrast_training.household.rescoring.enlarged_regions import (
    LEAST_SHARE,
    EnlargedRegions,
    Mask,
    blurred,
    box_of_mask,
    jittered_view,
    load_shards,
    views_of,
    write_regions,
)
from perception_contrast_training.photographs.base import (
    LabelledPhoto,
    PhotoRegion,
    SetFacts,
    photo_rng,
    readable_photos,
)
from perception_contrast_training.photographs.naming import load_naming
from perception_contrast_training.photographs.open_photos import open_photos

LONGEST = 640  # pixels of a photograph's longer side; crops are enlarged from it, as from a camera's frame
LEAST_PART = 0.1  # of a label's pixels, which a connected piece of it has to hold
WHOLE = 0.98  # share of a photograph from which a region is the whole of it
THING_SHARES = (3e-3, 0.2)  # of a frame, that a thing which fills its own photograph may take in another


@dataclass(frozen=True)
class PhotoRegionJob:
    """One shard to make.

    Attributes:
        folder: Where it is written.
        source: The set, as ``open_photos`` takes it.
        names: Files of names beside the package's.
        keys: The photographs.
        regions: Most regions of a photograph.
        model, layers: The image encoder and its blocks.
        offline: Whether a network may not be touched.
    """

    folder: Path
    source: Path
    names: tuple[Path, ...]
    keys: tuple[str, ...]
    regions: int
    model: str
    layers: tuple[int, ...]
    offline: bool


@dataclass(frozen=True)
class PhotoThing:
    """A region of a photograph. facts: of its set."""

    region: PhotoRegion
    facts: SetFacts


def make_photo_regions(job: PhotoRegionJob) -> Path:
    """Reads, encodes and writes one shard; photographs that cannot be read are told and left out.

    Raises:
        PerceptionError: None of the photographs can be read, or none shows anything large enough.
    """
    from perception_contrast.encoders.dinov2 import load_dino

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    source = open_photos(job.source, load_naming(job.names))
    tower = load_dino(job.model, offline=job.offline, pinned=True)
    made: list[Pooled] = []
    told: list[dict[str, object]] = []
    scene: list[int] = []
    for number, photo in enumerate(readable_photos(source, job.keys)):
        rng = photo_rng(photo, "/crops")
        image, found = _regions(photo, job.regions, rng)
        if not found:
            continue
        masks = [mask for mask, _ in found]
        views = views_of(image, masks, [jittered_view(box_of_mask(m), rng) for m in masks], tower, job.layers)
        made.append(_as_in_rooms(views, masks, rng))
        told += [asdict(region) for _, region in found]
        scene += [number] * len(found)
    if not made:
        raise PerceptionError(f"{len(job.keys)} photographs of '{job.source}' show nothing large enough")
    write_regions(job.folder, made, scene, {"facts": source.facts.stored(), "regions": told})
    return job.folder


def load_photo_regions(folders: Sequence[Path]) -> EnlargedRegions[PhotoThing]:
    """The regions of all shards. Raises PerceptionError for one that cannot be read or is of another kind."""
    return load_shards(folders, _things)


def _things(stored: Any) -> list[PhotoThing]:
    facts = SetFacts.of_stored(stored["facts"])
    return [PhotoThing(PhotoRegion(**one), facts) for one in stored["regions"]]


def _regions(
    photo: LabelledPhoto, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[tuple[Mask, PhotoRegion]]]:
    """The photograph at a camera's size, and pieces of its labels: first one of each name, then others."""
    scale = min(1.0, LONGEST / max(photo.numbers.shape))
    height, width = (max(1, round(side * scale)) for side in photo.numbers.shape)
    image, numbers = resize_image(photo.image, (height, width)), resize_labels(photo.numbers, (height, width))
    pieces = [
        piece for index in rng.permutation(len(photo.regions)) for piece in _pieces(numbers, int(index))
    ]
    first: dict[int, Mask] = {}
    others: list[tuple[int, Mask]] = []
    for index, mask in pieces:
        if index in first:
            others.append((index, mask))
        else:
            first[index] = mask
    chosen = [*first.items(), *(others[int(i)] for i in rng.permutation(len(others)))][:most]
    found = []
    for index, mask in chosen:
        shown = _middle(mask.shape, rng) if mask.mean() >= WHOLE else blurred(mask, rng)
        found.append((shown, photo.regions[index]))
    return image, found


def _pieces(numbers: NDArray[np.uint8], index: int) -> Iterator[tuple[int, Mask]]:
    """Connected pieces of a region, the largest first."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((numbers == index + 1).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    least = max(LEAST_SHARE * numbers.size, LEAST_PART * areas.sum()) if count > 1 else 0.0
    for piece in np.argsort(-areas):
        if areas[piece] >= least:
            yield index, labels == piece + 1


def _middle(shape: tuple[int, ...], rng: np.random.Generator) -> Mask:
    """Where a thing lies that fills a photograph whose label has no outline: an ellipse in its middle."""
    height, width = shape
    radius = rng.uniform(0.35, 0.5, 2) * (height, width)
    rows, columns = np.arange(height)[:, None] - height / 2, np.arange(width)[None] - width / 2
    return np.asarray((rows / radius[0]) ** 2 + (columns / radius[1]) ** 2 < 1)


def _as_in_rooms(views: Pooled, masks: Sequence[Mask], rng: np.random.Generator) -> Pooled:
    """With shares as a robot sees them, of things that were photographed from near."""
    form = views.form.clone()
    for row, mask in enumerate(masks):
        if mask.mean() > THING_SHARES[1] and len(masks) == 1:
            share = float(np.exp(rng.uniform(*np.log(THING_SHARES))))
            form[row] = torch.tensor(form_of(box_of_mask(mask), share))
    return Pooled(**{**vars(views), "form": form})
