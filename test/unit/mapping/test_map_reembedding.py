"""Vectors are made anew of the stored images; what has no image loses its vector."""

from __future__ import annotations

from dataclasses import replace

import map_examples
import numpy as np

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.mapping.map_reembedding import Embedding, reembedded
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.mapping.storage.stored_images import stored_image


def colour_vector(image: RgbImage) -> FloatArray:
    """A unit vector of three numbers, of the image's mean colour."""
    mean = image.reshape(-1, 3).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def test_objects_get_new_vectors_and_the_language_layer_begins_anew() -> None:
    state = map_examples.map_state(objects=3)
    objects = [*state.objects[:2], {**state.objects[2], "thumbnail": b""}]
    done = reembedded(replace(state, objects=objects), semantic=Embedding("new@1", colour_vector))
    assert (done.renewed, done.without_image) == (2, 1)
    assert done.voxels == len(state.voxels["keys"]) + len(state.far_rays["keys"])
    assert not done.state.voxels and not done.state.far_rays
    assert done.state.header.semantic_space == "new@1"
    assert done.state.header.spatial_space == map_examples.SPATIAL_SPACE
    image = stored_image(map_examples.jpeg(1))
    assert image is not None
    np.testing.assert_allclose(done.state.objects[0]["semantic"], colour_vector(image))
    assert done.state.objects[2]["semantic"] is None
    store = ObjectStore.of_state(
        {"evicted": 0, **done.state.facts["object_store"], "objects": done.state.objects}
    )
    assert store.semantic_space == "new@1"
    assert [one.label for one in store.objects] == ["mug"] * 3


def test_the_image_encoder_alone_leaves_the_voxels() -> None:
    state = map_examples.map_state()
    done = reembedded(state, spatial=Embedding("new@1", colour_vector))
    assert done.voxels == 0 and done.state.voxels is state.voxels
    assert done.state.header.spatial_space == "new@1"
    np.testing.assert_array_equal(done.state.objects[0]["semantic"], state.objects[0]["semantic"])
    assert done.state.objects[0]["spatial"].shape == (3,)
