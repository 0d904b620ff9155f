"""The models that a saved map's vectors are of: words, and new vectors of stored images."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.core.detection import Detection, Scores
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.frame import Frame
from perception_contrast.mapping.map_reembedding import Embedding
from perception_contrast.mapping.storage.map_state import MapHeader, require_spaces

if TYPE_CHECKING:
    from perception_contrast.core.feature_grid import FeatureGrid
    from perception_contrast.pipeline.pipeline import Pipeline

_SPATIAL = "dinov2-s14"
# Of a stored crop, which shows something of where the thing stands: what is left out on each side.
_BORDER = 0.12


class MapModels:
    """The models of a map, loaded when they are first needed; a context manager.

    Args:
        model: Name of the image encoder.
        language_model: Name of the model that knows words.
        device: "auto", "cpu", "cuda" or "cuda:N".
        offline: Download nothing.
    """

    def __init__(self, model: str, language_model: str, device: str = "auto", offline: bool = False) -> None:
        self._names, self._device, self._offline = (model, language_model), device, offline

    @classmethod
    def of_map(cls, header: MapHeader, options: argparse.Namespace) -> MapModels:
        """Those that a map was made with.

        Raises:
            PerceptionError: The map has no vectors that words can be compared with.
        """
        if not header.semantic_space:
            raise PerceptionError("the map was made without a language model; ask with --label")
        names = [space.partition("@")[0] for space in (header.spatial_space, header.semantic_space)]
        return cls(names[0] or _SPATIAL, names[1], options.device, options.offline)

    def __enter__(self) -> MapModels:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "pipeline" in self.__dict__:
            self.pipeline.close()

    @cached_property
    def pipeline(self) -> Pipeline:
        """Both models. Raises ModelError."""
        from perception_contrast.pipeline import build

        model, language_model = self._names
        return build.build(
            model=model,
            language_model=language_model,
            device=self._device,
            offline=self._offline,
            background=False,
            progress=lambda line: print(line, file=sys.stderr, flush=True),
        )

    def embed_texts(self, texts: Sequence[str], header: MapHeader, name: str) -> FloatArray:
        """(n, c) float32 unit vectors of texts, comparable with a map's.

        Raises:
            SpaceError: The model's weights are others than those that the map was made with.
            ModelError: The model cannot be loaded.
            QueryError: A text is empty.
        """
        encoder = self.pipeline.query_encoder
        require_spaces(header, name, encoder.text_space, None)
        return encoder.embed_texts(texts)

    @property
    def semantic(self) -> Embedding:
        """Vectors of crops that are comparable with words. Raises ModelError."""
        return Embedding(self.pipeline.query_encoder.text_space, lambda image: self._vector(image, True))

    @property
    def semantic_of_images(self) -> Embedding:
        """As ``semantic``, of whole images: the mean of all their cells."""
        return Embedding(self.pipeline.query_encoder.text_space, lambda image: self._vector(image, True, 0.0))

    @property
    def spatial(self) -> Embedding:
        """Vectors of crops by the image encoder. Raises ModelError."""
        return Embedding(self.pipeline.models["spatial"].space, lambda image: self._vector(image, False))

    def _vector(self, image: RgbImage, semantic: bool, border: float = _BORDER) -> FloatArray:
        from perception_contrast.segmentation.regions.region_features import region_features

        features = self.pipeline.extract_features(Frame(image))
        grid: FeatureGrid | None = features.semantic if semantic else features.features
        assert grid is not None
        vectors = region_features([_middle(image, border)], grid, None).vectors[0].semantic
        assert vectors is not None
        return np.asarray(vectors, np.float32)


def _middle(image: RgbImage, border: float) -> Detection:
    """What a crop shows, without its border."""
    height, width = image.shape[:2]
    y, x = int(border * height), int(border * width)
    box = (x, y, width - x, height - y)
    return Detection("", Scores(0.0, 0.0, 0.0), box, np.ones((box[3] - y, box[2] - x), bool))
