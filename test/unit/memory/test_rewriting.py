"""Renamed objects, joined memories, new vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from map_examples import SECOND, SPACE, keyframe, sighting, unit

from perception_contrast.core.arrays import FloatArray, RgbImage
from perception_contrast.core.errors import SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.map_reembedding import Embedding
from perception_contrast.memory import rewriting
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.rewriting import reembed, rename_objects, take_in
from perception_contrast.memory.sightings import Filters


@pytest.fixture
def memory(tmp_path: Path) -> MemoryStore:
    store = MemoryStore(tmp_path / "memory.sqlite")
    store.add([sighting(1, 1), sighting(2, 2), sighting(3, 3, thumbnail=b"")], [keyframe(1), keyframe(2)])
    return store


def test_sightings_follow_their_objects(memory: MemoryStore) -> None:
    assert len(memory.search_objects(unit(1), SPACE)) == 3
    assert rename_objects(memory, {3: 2, 2: 1, 9: 8}) == 2
    assert len(memory.sightings(Filters(object_id=1))) == 3
    assert [one.item for one in memory.search_objects(unit(1), SPACE)] == [1]
    assert rename_objects(memory, {}) == 0


def test_another_memory_is_joined_in_the_frame_of_this_one(
    memory: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "_ROWS_AT_ONCE", 2)
    # The other map's x is this one's y.
    turn = RigidTransform.of_quaternion((10, 0, 0), (0, 0, np.sqrt(0.5), np.sqrt(0.5)))
    other = MemoryStore(tmp_path / "other.sqlite")
    other.add(
        [sighting(5, 1, (2, 0, 0)), sighting(6, 2), sighting(7, 3, (4, 1, 0))],
        [keyframe(8, (1, 0, 1), labels=("mug",), place="hall"), keyframe(9), keyframe(10)],
    )
    assert take_in(memory, other, {1: 11, 3: 2}, turn) == 5
    first = memory.sightings(Filters(object_id=11))[0]
    assert first.stamp == 5 * SECOND
    assert first.low == pytest.approx((9.9, 1.9, -0.1)) and first.high == pytest.approx((10.1, 2.1, 0.1))
    assert [one.stamp // SECOND for one in memory.sightings(Filters(object_id=2))] == [7, 2]
    joined = memory.keyframes(Filters(place="hall"))[0]
    assert joined.position == pytest.approx((10, 1, 1)) and joined.labels == ("mug",)
    assert memory.counts().keyframes == 5


def test_vectors_are_made_anew(memory: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "_ROWS_AT_ONCE", 2)

    def colour(image: RgbImage) -> FloatArray:
        mean = image.reshape(-1, 3).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    memory.search_sightings(unit(1), SPACE)
    assert reembed(memory, Embedding("new@1", colour)) == 4
    assert len(memory.search_sightings(unit(1, 3), "new@1")) == 2
    assert len(memory.search_keyframes(unit(1, 3), "new@1")) == 2
    assert memory.sightings(Filters(object_id=3))[0].vector is None
    with pytest.raises(SpaceError):
        memory.search_sightings(unit(1), SPACE)
