"""Fits what the training images look like to the image encoder, from the shards of a training run."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import PerceptionError
from perception_contrast.encoders.familiarity.training_images import TrainingImages, facts_of_fit
from perception_contrast_training.household.photo_shards import PhotoShard, load_photo_shard
from perception_contrast_training.household.scene_shards import load_shard
from perception_contrast_training.household.words import Words

logger = logging.getLogger(__name__)

RANK = 128  # directions with a variance of their own
KEPT_BACK = 5  # every fifth shard sets the limit and is not fitted to
# Of the kept-back images, which lie below the limit. One in ten lies above it; that the mean over a stream
# does is far rarer, and a stream of another place lies closely around its mean.
QUANTILE = 0.9
LEAST_HOME = 0.7  # share of a photograph's labelled cells that show what the rooms of a home consist of
LEAST_IMAGES = 100  # of a kind, fitted or kept back, below which a quantile says little

Vectors = NDArray[np.float32]


def fit_training_images(folder: Path, space: str, quantile: float = QUANTILE) -> TrainingImages:
    """Fits one Gaussian to rendered rooms and one to photographs of homes.

    Photographs of streets and fields lie in the sets too. They are left out: the head knows few names of
    what they show.

    Args:
        folder: Of a training run, with ``shards`` and perhaps ``photo_shards``.
        space: Of the image encoder that made the shards.
        quantile: Of the kept-back images of a kind, which lie below its limit.

    Raises:
        PerceptionError: The shards are too few.
    """
    kinds: dict[str, Sequence[NDArray[Any]]] = {
        "rendered rooms": [load_shard(one).cls for one in _shards(folder / "shards")],
        "photographs of homes": [
            home_vectors(load_photo_shard(one)) for one in _shards(folder / "photo_shards")
        ],
    }
    parts = {name: _split(shards) for name, shards in kinds.items() if shards}
    for name, (fitted, kept) in parts.items():
        if min(len(fitted), len(kept)) < LEAST_IMAGES:
            raise PerceptionError(
                f"'{folder}' has {len(fitted)} {name} to fit and {len(kept)} to keep back; at least "
                f"{LEAST_IMAGES} of each are needed, so encode more of them"
            )
    if not parts:
        raise PerceptionError(f"there are no shards in '{folder}'; run the train step of its recipe first")
    return fit_gaussians(parts, space, quantile)


def fit_gaussians(
    parts: Mapping[str, tuple[Vectors, Vectors]], space: str, quantile: float = QUANTILE, rank: int = RANK
) -> TrainingImages:
    """A Gaussian for each kind of image, with its limit.

    Args:
        parts: Kind to (n, c) vectors that are fitted and (m, c) vectors that are kept back.
        space: Of the vectors.
        quantile: Of the kept-back distances, the limit.
        rank: Directions with a variance of their own.
    """
    gaussians = [_principal_components(fitted, rank) for fitted, _ in parts.values()]
    mean, directions, variances, rest = (np.stack(values) for values in zip(*gaussians, strict=True))
    facts = facts_of_fit(quantile, {name: len(fitted) for name, (fitted, _) in parts.items()})
    ones = np.ones(len(parts), np.float32)
    images = TrainingImages(space, mean, directions, variances, rest, ones, facts)
    limits = [
        np.quantile(images.distances(kept)[:, index], quantile)
        for index, (_, kept) in enumerate(parts.values())
    ]
    return TrainingImages(
        space, mean, directions, variances, rest, np.asarray(limits, np.float32), images.facts
    )


def home_vectors(shard: PhotoShard) -> Vectors:
    """(n, c) class tokens of the photographs of a shard that show a home, by the names of their regions."""
    household = set(Words().kinds)
    kept = []
    for index, regions in enumerate(shard.regions):
        numbers = [number for number, one in enumerate(regions, 1) if one.name in household]
        cells = np.asarray(shard.cells[index])
        shown = np.count_nonzero(np.isin(cells, numbers))
        if numbers and shown >= LEAST_HOME * np.count_nonzero(cells):
            kept.append(np.asarray(shard.cls[index], np.float32))
    return np.stack(kept) if kept else np.zeros((0, shard.cls.shape[1]), np.float32)


def _shards(folder: Path) -> list[Path]:
    return sorted(one for one in folder.glob("[!.]*") if one.is_dir()) if folder.is_dir() else []


def _split(shards: Sequence[NDArray[Any]]) -> tuple[Vectors, Vectors]:
    """What is fitted, and what is kept back: neighbours in a set often show one room, so by whole shards."""
    parts: tuple[list[Vectors], list[Vectors]] = ([], [])
    for number, vectors in enumerate(shards):
        parts[number % KEPT_BACK == KEPT_BACK - 1].append(np.asarray(vectors, np.float32))
    empty = np.zeros((0, shards[0].shape[1]), np.float32)
    fitted, kept = (np.concatenate([empty, *part]) for part in parts)
    return fitted, kept


def _principal_components(vectors: Vectors, rank: int) -> tuple[Vectors, Vectors, Vectors, np.float32]:
    """Mean (c,), directions (rank, c), variances (rank,), and the mean variance of all other directions."""
    mean = vectors.mean(axis=0, dtype=np.float64)
    covariance = np.cov(vectors.astype(np.float64), rowvar=False)
    values, columns = np.linalg.eigh(covariance)
    strongest = slice(None, -rank - 1, -1)
    rest = max(float(values[:-rank].mean()), 1e-6)
    variances = np.maximum(values[strongest], rest)
    return (
        mean.astype(np.float32),
        np.ascontiguousarray(columns[:, strongest].T, np.float32),
        variances.astype(np.float32),
        np.float32(rest),
    )


def described(images: TrainingImages) -> str:
    """A line for people."""
    counts = json.loads(images.facts["fitted_to"])
    limits = ", ".join(f"{value:.3f}" for value in images.limit)
    return f"fitted to {counts}; limits at quantile {images.facts['quantile']}: {limits}"
