"""Tasks that make vectors for questions to maps: words and images, with the models that a map was made with.

They run in a process of their own: Open3D, which maps are read with, and torch are better kept apart.
"""

from __future__ import annotations

import functools

import numpy as np

from perception_contrast.cli.map.map_models import MapModels
from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.embedding_spaces import require_same_space
from perception_contrast.core.errors import PerceptionError
from perception_contrast.images.files import decode_image_file
from perception_contrast.mapping.storage.map_state import MapHeader
from perception_contrast.segmentation.scoring.name_bank import generic_names
from perception_contrast_studio.workers.worker_process import Report

_SPATIAL = "dinov2-s14"


def words(report: Report, header: MapHeader, name: str, texts: list[str]) -> FloatArray:
    """(n, c) float32 unit vectors of texts, comparable with a map's.

    Args:
        report: Tells the progress.
        header: Of the map.
        name: Of the map.
        texts: At least one.

    Raises:
        PerceptionError: The map has no language model, or its model cannot be had.
    """
    models = _models_of(report, header)
    report(0.6, "encoding the words")
    return models.embed_texts(texts, header, name)


def name_bank(report: Report, header: MapHeader, name: str) -> FloatArray:
    """(k, c) float32 unit vectors of the generic names that words compete with. Raises as ``words``."""
    models = _models_of(report, header)
    report(0.7, "encoding the names to compare with")
    return models.embed_texts(generic_names(), header, name)


def image(report: Report, header: MapHeader, data: bytes) -> tuple[FloatArray, FloatArray | None]:
    """(1, c) and (1, d) float32 unit vectors of an image in a map's spaces; the second None without one.

    Args:
        report: Tells the progress.
        header: Of the map, or of its spaces alone.
        data: Bytes of an image file.

    Raises:
        PerceptionError: It is no image, or the models here are others than the map's.
    """
    pixels = decode_image_file(data, "the image")
    models = _models_of(report, header)
    report(0.6, "looking at the image")
    semantic = models.semantic_of_images
    require_same_space(semantic.space, header.semantic_space, "the model here")
    rows = np.asarray(semantic.embed(pixels), np.float32)[None]
    if not header.spatial_space:
        return rows, None
    spatial = models.spatial
    require_same_space(spatial.space, header.spatial_space, "the model here")
    return rows, np.asarray(spatial.embed(pixels), np.float32)[None]


def _models_of(report: Report, header: MapHeader) -> MapModels:
    if not header.semantic_space:
        raise PerceptionError("this map was made without a language model; ask by a label")
    spatial, language = (space.partition("@")[0] for space in (header.spatial_space, header.semantic_space))
    report(0.2, f"loading the map's model '{language}'")
    return _models(spatial or _SPATIAL, language)


@functools.lru_cache(maxsize=1)
def _models(spatial: str, language: str) -> MapModels:
    return MapModels(spatial, language)
