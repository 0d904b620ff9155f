"""Features of labelled frames under a few fixed views, encoded once and kept on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.distillation.feature_cache import FeatureCache, default_folder

logger = logging.getLogger(__name__)

_GRID, _POOLED = "grid", "pooled"
GIGABYTES = 4.0  # of the cache, which is bounded for all that uses it


@dataclass(frozen=True)
class View:
    """How a frame is shown to the encoder. short_side: of its input in pixels. flipped: left and right."""

    short_side: int
    flipped: bool = False


def training_views(short_side: int) -> tuple[View, ...]:
    """The frame as it will be served, its mirror image, and both at a smaller size."""
    smaller = max(98, round(0.7 * short_side))
    return tuple(View(side, flipped) for side in (short_side, smaller) for flipped in (False, True))


@dataclass(frozen=True)
class ViewFeatures:
    """grid: (h, w, c) float16. pooled: (c,) float32 of the whole image."""

    grid: Tensor
    pooled: Tensor


class ViewEncoder:
    """Encodes views of frames by the pipeline that serves them, or takes what was kept.

    Args:
        model: Of images: a name of `models list` or a folder.
        device: As ``build`` takes it.
        offline: Download nothing.
        cache: Of features; None for that of the package.
    """

    def __init__(
        self, model: str, device: str = "auto", *, offline: bool = False, cache: FeatureCache | None = None
    ) -> None:
        encoders = load_encoders(model, "none", device=device, offline=offline)
        self.device = encoders.device
        self.space, self.dim = encoders.spatial.space, encoders.spatial.dim
        self._pipeline = Pipeline(encoders, PipelineSettings(), background=False)
        self._cache = cache or FeatureCache(default_folder(), GIGABYTES)

    def features(self, image: RgbImage, view: View) -> ViewFeatures:
        """Of an image (H, W, 3) uint8 under a view."""
        key = _key(image, view)
        kept = self._cache.get(self.space, key)
        if kept is not None and {_GRID, _POOLED} <= set(kept):
            return ViewFeatures(kept[_GRID], kept[_POOLED].float())
        shown = np.ascontiguousarray(image[:, ::-1]) if view.flipped else image
        grid, pooled = self._encoded(shown, view.short_side)
        found = ViewFeatures(torch.from_numpy(grid).half(), torch.from_numpy(pooled).float())
        self._cache.put(self.space, key, {_GRID: found.grid, _POOLED: found.pooled})
        return found

    def served(self, image: RgbImage, short_side: int) -> ImageFeatures:
        """The features of an image as a frame that is served has them."""
        settings = replace(self._pipeline.settings, short_side=short_side)
        needed = FeatureRequest(features=True, pooled=True)
        return self._pipeline.extract_features(Frame(image), needed, settings)

    def close(self) -> None:
        """Ends what runs beside."""
        self._pipeline.close()

    def _encoded(self, image: RgbImage, short_side: int) -> tuple[np.ndarray, np.ndarray]:
        found = self.served(image, short_side)
        assert found.features is not None and found.pooled is not None
        return np.ascontiguousarray(found.features.values), np.ascontiguousarray(found.pooled)


def _key(image: RgbImage, view: View) -> str:
    digest = hashlib.blake2b(digest_size=20)
    digest.update(repr((image.shape, view.short_side, view.flipped, "head features 1")).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def encode_all(
    encoder: ViewEncoder, images: Sequence[RgbImage], views: Sequence[View]
) -> list[list[ViewFeatures]]:
    """Of each image the features of each view."""
    return [[encoder.features(image, view) for view in views] for image in images]
