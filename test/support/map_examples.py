"""Small maps and memories for tests."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.objects.map_object import MapObject, MeanVector, Thumbnail, Vote
from perception_contrast.mapping.objects.object_state import record_of
from perception_contrast.mapping.objects.voxel_set import VoxelSet
from perception_contrast.mapping.storage.map_state import Arrays, MapHeader, MapState
from perception_contrast.memory.sightings import Keyframe, Point, Sighting

SPACE, SPATIAL_SPACE = "clip@0123456789ab", "dino@ba9876543210"
CHANNELS = 8
SECOND = 1_000_000_000


def header(**changes: Any) -> MapHeader:
    """Of a map of both spaces, with one camera."""
    calibration = {"front": {"width": 64, "height": 48, "fx": 50.0, "fy": 50.0, "cx": 31.5, "cy": 23.5}}
    return MapHeader(
        **{"semantic_space": SPACE, "spatial_space": SPATIAL_SPACE, "calibration": calibration} | changes
    )


def voxel_table(keys: Any, seed: int = 0) -> Arrays:
    """Rows for keys (n, 3), with vectors that depend on the seed."""
    keys = np.asarray(keys, np.int32).reshape(-1, 3)
    generator, count = np.random.default_rng(seed), len(keys)
    return {
        "keys": keys,
        "vectors": generator.normal(size=(count, CHANNELS)).astype(np.float16),
        "weights": generator.uniform(1, 5, count).astype(np.float32),
        "hits": generator.integers(1, 9, count).astype(np.uint16),
        "last_seen": generator.integers(1, 1 << 40, count),
        "submap": generator.integers(0, 4, count).astype(np.int32),
    }


def map_object(number: int, label: str = "mug", at: Point = (0.0, 0.0, 0.0), **changes: Any) -> MapObject:
    """A cube of about 10 cm, of eight points around a point."""
    corners = np.stack(np.meshgrid(*[[-0.04, 0.04]] * 3), -1).reshape(-1, 3)
    held = {
        "evidence": {label: Vote(3.5, 4.0), "cup": Vote(1.0, 4.0)},
        "first_seen": 10 * SECOND,
        "last_seen": 20 * SECOND,
        "last_look": 20 * SECOND,
        "submap": 1,
        "sightings": 4,
        "language": MeanVector(unit(number), 4.0),
        "tracks": ("front/7",),
        "thumbnail": Thumbnail(jpeg(number), 2.0),
        "confirmed": True,
    }
    return MapObject(number, **{"voxels": VoxelSet.of_points(corners + at, 0.05)} | held | changes)


def object_record(number: int, label: str = "mug", at: Point = (0.0, 0.0, 0.0)) -> dict[str, Any]:
    """``map_object`` as a dictionary."""
    return record_of(map_object(number, label, at))


def map_state(objects: int = 2, voxels: int = 5, **changes: Any) -> MapState:
    """A map with some of everything."""
    keys = np.arange(voxels * 3).reshape(voxels, 3)
    return MapState(
        header(**changes),
        voxels=voxel_table(keys),
        far_rays=voxel_table(keys[:2], seed=1),
        objects=[object_record(number + 1, at=(number, 0, 0)) for number in range(objects)],
        facts={
            "object_store": {"next_id": objects + 1, "semantic_space": SPACE, "spatial_space": SPATIAL_SPACE}
        },
    )


def unit(seed: int, channels: int = CHANNELS) -> NDArray[np.float32]:
    """A unit vector that depends on the seed alone."""
    vector = np.random.default_rng(seed).normal(size=channels)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def jpeg(seed: int, size: int = 24) -> bytes:
    """An image whose bytes depend on the seed."""
    image = np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)
    return bytes(cv2.imencode(".jpg", image)[1].tobytes())


def sighting(stamp: int, object_id: int = 1, at: Point = (0.0, 0.0, 0.0), **changes: Any) -> Sighting:
    """Of a box of 20 cm around a point; stamp in seconds."""
    low, high = np.subtract(at, 0.1), np.add(at, 0.1)
    held = {
        "label": "mug",
        "vector": unit(object_id),
        "space": SPACE,
        "thumbnail": jpeg(stamp),
        "camera": "front",
    }
    return Sighting(
        stamp * SECOND, object_id, low=tuple(map(float, low)), high=tuple(map(float, high)), **held | changes
    )


def keyframe(stamp: int, at: Point = (0.0, 0.0, 1.0), **changes: Any) -> Keyframe:
    """By a camera at a point; stamp in seconds."""
    held = {"vector": unit(stamp), "space": SPACE, "thumbnail": jpeg(stamp), "camera": "front"}
    return Keyframe(stamp * SECOND, RigidTransform(np.eye(3), np.asarray(at, float)), **held | changes)


def assert_same_state(one: MapState, other: MapState) -> None:
    """Compares all but the times in the header; voxels by their keys."""
    for part in ("voxels", "far_rays", "surface", "keyframes"):
        left, right = getattr(one, part), getattr(other, part)
        assert set(left) == set(right), part
        orders = [np.lexsort(table["keys"].T) if "keys" in table else slice(None) for table in (left, right)]
        for name in left:
            assert left[name].dtype == right[name].dtype, (part, name)
            np.testing.assert_array_equal(
                left[name][orders[0]], right[name][orders[1]], err_msg=f"{part} {name}"
            )
    assert len(one.objects) == len(other.objects)
    for first, second in zip(one.objects, other.objects, strict=True):
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    assert dict(one.facts) == dict(other.facts)
