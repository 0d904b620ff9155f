"""Features of labelled frames, encoded once as they are served and kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from perception_contrast.core.arrays import RgbImage
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.encoders.load_encoders import load_encoders
from perception_contrast.heads.head_card import CUES, Source, Task
from perception_contrast.pipeline.image_features import FeatureRequest, ImageFeatures
from perception_contrast.pipeline.pipeline import Pipeline
from perception_contrast.pipeline.pipeline_settings import PipelineSettings
from perception_contrast_training.distillation.feature_cache import FeatureCache, default_folder

NO_LANGUAGE = "none"
GIGABYTES = 8.0  # of the cache, which is bounded for all that uses it
_GRID, _POOLED = "grid", "pooled"
_COLUMN_OFFSET = 1  # of the cues: how many columns lie between a cell and the centre of its thing


@dataclass(frozen=True)
class FrameFeatures:
    """grid: (h, w, c) float16, cues behind the vectors where there are any. pooled: (c,) float32."""

    grid: Tensor
    pooled: Tensor


class FrameEncoder:
    """Encodes frames by the pipeline that serves them, or takes what was kept.

    The grid is that of the language model, where there is one and the task is of places: it was made to tell
    things apart, and comes with cues of single things. Else it is that of the image encoder.

    Args:
        model: Of images: a name of `models list` or a folder.
        language_model: The same of words; NO_LANGUAGE for none.
        task: Of the head.
        device: As ``build`` takes it.
        offline: Download nothing.
        cache: Of features; None for that of the package.

    Attributes:
        source: Of the grid.
        space: Of its vectors.
        cues: Whether instance cues stand behind them.
        patches: Cells of the grid per patch and side.
    """

    def __init__(
        self,
        model: str,
        language_model: str,
        task: Task,
        device: str = "auto",
        *,
        offline: bool = False,
        cache: FeatureCache | None = None,
    ) -> None:
        if task == "classification":  # by the encoder's own vector of the image
            language_model = NO_LANGUAGE
        encoders = load_encoders(model, language_model, device=device, offline=offline)
        self.device, self._task = encoders.device, task
        self.source: Source = "spatial" if encoders.language is None else "language"
        self.space = encoders.spatial.space if encoders.language is None else encoders.language.space
        self._pipeline = Pipeline(encoders, PipelineSettings(), background=False)
        self._cache = cache or FeatureCache(default_folder(), GIGABYTES)
        shown = self._served(np.zeros((112, 112, 3), np.uint8), 112)
        self.cues = self.source == "language" and shown.instance_cues is not None
        patch = encoders.spatial.patch
        grid = self._grid(shown)
        self.dim, self.patches = int(grid.shape[-1]), max(1, round(grid.shape[0] * patch / 112))

    def features(self, image: RgbImage, short_side: int) -> FrameFeatures:
        """Of an image (H, W, 3) uint8, whose short side the network sees at so many pixels."""
        key = _key(image, short_side, self.source)
        kept = self._cache.get(self.space, key)
        if kept is not None and {_GRID, _POOLED} <= set(kept) and self._suffices(kept[_POOLED]):
            return FrameFeatures(kept[_GRID], kept[_POOLED].float())
        shown = self._served(image, short_side)
        pooled = np.zeros(0, np.float32) if shown.pooled is None else shown.pooled
        found = FrameFeatures(torch.from_numpy(self._grid(shown)).half(), torch.from_numpy(pooled).float())
        self._cache.put(self.space, key, {_GRID: found.grid, _POOLED: found.pooled})
        return found

    def name_vectors(self, classes: Sequence[str]) -> Tensor | None:
        """(n, c) float32 unit vectors of names in the space of the grid; None where it knows no words."""
        if self.source == "spatial":
            return None
        return torch.from_numpy(self._pipeline.query_encoder.embed_texts(list(classes)))

    def _suffices(self, pooled: Tensor) -> bool:
        """A detection or segmentation head keeps no vector of the image, which a classification needs."""
        return self._task != "classification" or pooled.numel() > 0

    def close(self) -> None:
        """Ends what runs beside."""
        self._pipeline.close()

    def _served(self, image: RgbImage, short_side: int) -> ImageFeatures:
        """The features of an image as a frame that is served has them."""
        settings = replace(self._pipeline.settings, short_side=short_side)
        spatial = self.source == "spatial"
        needed = FeatureRequest(
            features=spatial,
            semantic=not spatial,
            instance_cues=not spatial,
            pooled=self._task == "classification",
        )
        return self._pipeline.extract_features(Frame(image), needed, settings)

    def _grid(self, shown: ImageFeatures) -> np.ndarray:
        grid = shown.features if self.source == "spatial" else shown.semantic
        if grid is None:
            raise PerceptionError(f"{self.space} gives no features of places; name another --model")
        if self.source == "spatial" or shown.instance_cues is None:
            return np.ascontiguousarray(grid.values)
        return np.concatenate([grid.values, shown.instance_cues], axis=-1)


def mirrored(grid: Tensor, *, cues: bool) -> Tensor:
    """The features (h, w, c) of the mirror image, near enough: a frame need not be encoded twice.

    Args:
        grid: Of the frame.
        cues: Whether instance cues stand behind the vectors.
    """
    flipped = grid.flip(1)
    if cues:
        flipped = flipped.clone()
        flipped[..., _COLUMN_OFFSET - CUES] *= -1
    return flipped


def _key(image: RgbImage, short_side: int, source: str) -> str:
    digest = hashlib.blake2b(digest_size=20)
    digest.update(repr((image.shape, short_side, source, "head features 2")).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
