"""Labelled photographs as token shards: what the frozen image encoder sees, beside the regions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast_training.household.scene_shards import ARRAYS, read_shard, write_shard
from perception_contrast_training.photographs.base import (
    LabelledPhoto,
    PhotoRegion,
    SetFacts,
    photo_rng,
    readable_photos,
)
from perception_contrast_training.photographs.naming import load_naming
from perception_contrast_training.photographs.open_photos import open_photos

LEAST_CROP = 0.5  # area of a view's window, of the largest that fits
JITTER = 0.25  # largest relative change of brightness, contrast and each channel's gain


@dataclass(frozen=True)
class PhotoShardJob:
    """One shard to make.

    Attributes:
        folder: Where it is written.
        source: The set, as ``open_photos`` takes it.
        names: Files of names beside the package's.
        keys: The photographs.
        size: (height, width) that the encoder is given.
        views: How many of each photograph; the first is the plain one, the others are cropped and mirrored.
        model, layers: The image encoder and its blocks.
        offline: Whether a network may not be touched.
    """

    folder: Path
    source: Path
    names: tuple[Path, ...]
    keys: tuple[str, ...]
    size: tuple[int, int]
    views: int
    model: str
    layers: tuple[int, ...]
    offline: bool


@dataclass(frozen=True)
class PhotoShard:
    """The arrays of ``scene_shards.Shard``; regions: of each image, as cells number them from 1 on."""

    tokens: NDArray[np.float16]
    cls: NDArray[np.float16]
    colours: NDArray[np.float16]
    cells: NDArray[np.uint8]
    purity: NDArray[np.uint8]
    regions: list[tuple[PhotoRegion, ...]]
    facts: SetFacts


def make_photo_shard(job: PhotoShardJob) -> Path:
    """Reads, encodes and writes one shard; photographs that cannot be read are told and left out.

    Raises:
        PerceptionError: None of the photographs can be read, or labels do not fit their photograph.
    """
    from perception_contrast_training.household.token_arrays import TokenArrays

    source = open_photos(job.source, load_naming(job.names))
    arrays = TokenArrays(job.model, job.layers, job.offline)
    regions: list[list[dict[str, object]]] = []
    for photo in readable_photos(source, job.keys):
        rng = photo_rng(photo)
        for view in range(job.views):
            rgb, labels = photo_view(photo, job.size, rng if view else None)
            arrays.add(rgb, labels, range(1, len(photo.regions) + 1), job.size)
            regions.append([asdict(region) for region in photo.regions])
    if not regions:
        raise PerceptionError(f"none of {len(job.keys)} photographs of '{job.source}' can be read")
    write_shard(job.folder, arrays.stacked(), {"facts": source.facts.stored(), "regions": regions})
    return job.folder


def load_photo_shard(folder: Path) -> PhotoShard:
    """A shard with its arrays left on disk until they are read. Raises PerceptionError."""
    arrays, stored = read_shard(folder, ARRAYS)
    facts = SetFacts.of_stored(stored["facts"])
    regions = [tuple(PhotoRegion(**one) for one in image) for image in stored["regions"]]
    return PhotoShard(**arrays, regions=regions, facts=facts)


def photo_view(
    photo: LabelledPhoto, size: tuple[int, int], rng: np.random.Generator | None
) -> tuple[RgbImage, NDArray[np.int32]]:
    """A view of a photograph with the shape of the encoder's input.

    Args:
        photo: The photograph.
        size: (height, width) whose aspect ratio the view has.
        rng: Draws place, size, mirroring and colours; None gives the largest window in the middle as it is.

    Returns:
        (h, w, 3) uint8 RGB and (h, w) int32 numbers of regions.
    """
    height, width = photo.image.shape[:2]
    scale = min(height / size[0], width / size[1])
    share = 1.0 if rng is None else float(np.sqrt(rng.uniform(LEAST_CROP, 1.0)))
    h, w = (max(1, round(side * scale * share)) for side in size)
    top, left = ((height - h) // 2, (width - w) // 2)
    if rng is not None:
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    rgb = photo.image[top : top + h, left : left + w]
    labels = photo.numbers[top : top + h, left : left + w].astype(np.int32)
    if rng is None:
        return rgb, labels
    if rng.random() < 0.5:
        rgb, labels = rgb[:, ::-1], labels[:, ::-1]
    return _jittered(rgb, rng), np.ascontiguousarray(labels)


def _jittered(rgb: RgbImage, rng: np.random.Generator) -> RgbImage:
    """The same with another brightness, contrast and white balance."""
    gains = (1 + JITTER * rng.uniform(-1, 1)) * (1 + 0.4 * JITTER * rng.uniform(-1, 1, 3))
    contrast, mean = 1 + JITTER * rng.uniform(-1, 1), float(rgb.mean())
    levels = np.arange(256, dtype=np.float64)
    table = ((levels[:, None] - mean) * contrast + mean) * gains
    looked: RgbImage = cv2.LUT(np.ascontiguousarray(rgb), table.clip(0, 255).astype(np.uint8)[None])
    return looked
