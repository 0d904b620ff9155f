"""New vectors for a map's objects, from their stored images, where a model has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.mapping.objects.map_object import MeanVector
from perception_contrast.mapping.objects.object_state import object_of, record_of
from perception_contrast.mapping.storage.map_state import MapState, ObjectRecord
from perception_contrast.mapping.storage.stored_images import stored_image

ImageToVector: TypeAlias = Callable[[RgbImage], FloatArray]
"""An image (H, W, 3) uint8 RGB to its unit vector (c,) float32."""

_OBJECT_STORE = "object_store"


@dataclass(frozen=True)
class Embedding:
    """A model that makes vectors of images. space: identity of the space of its vectors."""

    space: str
    embed: ImageToVector


@dataclass(frozen=True)
class Reembedding:
    """What became of a map.

    Attributes:
        state: With new vectors.
        renewed: Objects with new vectors.
        without_image: Objects that have no image, and so no vector any more.
        voxels: Voxels and rays that are gone: no image of them is kept.
    """

    state: MapState
    renewed: int
    without_image: int
    voxels: int


def reembedded(
    state: MapState, semantic: Embedding | None = None, spatial: Embedding | None = None
) -> Reembedding:
    """The map with vectors of other models.

    Objects keep ids, places and votes. The voxels' vectors cannot be made of anything that is kept, so the
    language layer begins anew: the robot fills it as it sees the place again.

    Args:
        state: The map.
        semantic: The new language model; None keeps those vectors, and the voxels.
        spatial: The new image encoder; None keeps those vectors.
    """
    images = [stored_image(record.get("thumbnail", b"")) for record in state.objects]
    objects = [
        _with_vectors(record, image, semantic, spatial)
        for record, image in zip(state.objects, images, strict=True)
    ]
    spaces = {
        name: embedding.space
        for name, embedding in (("semantic_space", semantic), ("spatial_space", spatial))
        if embedding is not None
    }
    new = replace(state, objects=objects, facts=_with_spaces(state, spaces)).with_header(**spaces)
    dropped = 0
    if semantic is not None:
        dropped = sum(len(table.get("keys", ())) for table in (state.voxels, state.far_rays))
        new = replace(new, voxels={}, far_rays={})
    found = sum(image is not None for image in images)
    return Reembedding(new, found, len(images) - found, dropped)


def _with_vectors(
    record: ObjectRecord, image: RgbImage | None, semantic: Embedding | None, spatial: Embedding | None
) -> ObjectRecord:
    changed: dict[str, Any] = {
        name: None if image is None else MeanVector(np.asarray(embedding.embed(image), np.float32))
        for name, embedding in (("language", semantic), ("appearance", spatial))
        if embedding is not None
    }
    return record_of(replace(object_of(record), **changed))


def _with_spaces(state: MapState, spaces: dict[str, str]) -> dict[str, Any]:
    store = state.facts.get(_OBJECT_STORE)
    return {**state.facts, **({_OBJECT_STORE: {**store, **spaces}} if store else {})}
