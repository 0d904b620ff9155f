"""What the images that a model was trained on look like to its image encoder, as a few Gaussians.

The distance to a Gaussian of the features tells images of another kind (Lee et al., A Simple Unified
Framework for Detecting Out-of-Distribution Samples, NeurIPS 2018). The covariance is that of probabilistic
principal components (Tipping and Bishop, 1999): a few directions, and one variance for all others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import ModelError
from perception_contrast.core.file_writing import writing

FORMAT = "training-images"
_TENSORS = ("mean", "directions", "variances", "rest", "limit")


@dataclass(frozen=True)
class TrainingImages:
    """Kinds of training images, each a Gaussian of the image encoder's class token.

    Attributes:
        space: Of the vectors.
        mean: (k, c) float32, of each kind.
        directions: (k, r, c) float32, orthonormal rows: the strongest directions of each kind.
        variances: (k, r) float32, along them.
        rest: (k,) float32, the variance along any other direction.
        limit: (k,) float32, the distance that is called too far, a high quantile of kept-back images.
        facts: How they were fitted, for people to read.
    """

    space: str
    mean: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]
    rest: NDArray[np.float32]
    limit: NDArray[np.float32]
    facts: Mapping[str, str]

    def distances(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Root mean squared deviations per channel, in standard deviations (Mahalanobis, 1936).

        Args:
            vectors: (n, c) of ``space``.

        Returns:
            (n, k) float32, of each vector from each kind.
        """
        kinds = zip(self.mean, self.directions, self.variances, self.rest, strict=True)
        found = []
        for mean, directions, variances, rest in kinds:
            centred = np.asarray(vectors, np.float32) - mean
            along = centred @ directions.T
            beside = np.maximum((centred**2).sum(axis=1) - (along**2).sum(axis=1), 0.0)
            squares = (along**2 / variances).sum(axis=1) + beside / rest
            found.append(np.sqrt(squares / vectors.shape[1]))
        return np.stack(found, axis=1).astype(np.float32)

    def unlikeness(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n,) float32 distances from the nearest kind over its limit; more than 1 is unlike all kinds.

        Args:
            vectors: (n, c) of ``space``.
        """
        return np.asarray((self.distances(vectors) / self.limit).min(axis=1), np.float32)


def save_training_images(images: TrainingImages, path: Path) -> None:
    """Writes the Gaussians in half precision where that is enough, with their space and facts inside."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(getattr(images, name), np.float32) for name in _TENSORS}
    tensors["directions"] = tensors["directions"].astype(np.float16)
    metadata = {**images.facts, "format": FORMAT, "image_space": images.space}
    with writing(path) as part:
        part.write_bytes(save(tensors, metadata=metadata))


def load_training_images(path: Path) -> TrainingImages:
    """Reads what ``save_training_images`` wrote. Raises ModelError."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as stored:
            facts = dict(stored.metadata() or {})
            tensors = {name: np.asarray(stored.get_tensor(name), np.float32) for name in _TENSORS}
        if facts.pop("format") != FORMAT:
            raise ValueError(f"it is no {FORMAT}")
        images = TrainingImages(facts.pop("image_space"), **tensors, facts=facts)
        _require_shapes(images)
    except (SafetensorError, KeyError, TypeError, ValueError, OSError) as error:
        raise ModelError(
            f"statistics of training images '{path}' are not readable ({error}); restore the file"
        ) from error
    return images


def _require_shapes(images: TrainingImages) -> None:
    """Raises ValueError for tensors that do not fit each other or that would divide by nothing."""
    kinds, rank, channels = images.directions.shape
    shapes = {
        "mean": (kinds, channels), "variances": (kinds, rank), "rest": (kinds,), "limit": (kinds,),
    }  # fmt: skip
    for name, shape in shapes.items():
        if getattr(images, name).shape != shape:
            raise ValueError(f"{name} has shape {getattr(images, name).shape} where {shape} fits")
    positive = (images.variances, images.rest, images.limit)
    if not kinds or not all(np.isfinite(one).all() and (one > 0).all() for one in positive):
        raise ValueError("variances and limits are not all positive")


def facts_of_fit(quantile: float, counts: Mapping[str, int]) -> dict[str, str]:
    """The facts that are stored with a fit.

    Args:
        quantile: Of the kept-back images, at which the limits lie.
        counts: Images of each kind that were fitted.
    """
    return {"quantile": str(quantile), "fitted_to": json.dumps(dict(counts))}
