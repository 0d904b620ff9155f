"""What questions to the objects of a map cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.feature_grid import unit_vectors
from perception_contrast.mapping.answers.find_answers import MapContents, find
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.answers.name_contrast import NameContrast
from perception_contrast.mapping.objects.map_object import MapObject, MeanVector, Vote
from perception_contrast.mapping.objects.object_table import ObjectTable
from perception_contrast.mapping.objects.voxel_set import VoxelSet

OBJECTS = 1_000
TEXTS = (1, 100)
# Generic names that words compete with, about as many as ``generic_names`` has.
_BANK = 300
_VOXEL, _VOXELS = 0.05, 60
_ROUNDS = 3


def measure_objects(channels: int) -> dict[str, Any]:
    """Processor milliseconds. docs/measure.md says what each key means."""
    rng = np.random.default_rng(0)
    objects = [_object(number, channels, rng) for number in range(1, OBJECTS + 1)]
    table = ObjectTable.of(objects)
    vectors = np.stack([one.semantic for one in objects if one.semantic is not None])
    names = NameContrast.measured(_drawn(_BANK, channels, rng), vectors, vectors)
    contents, text = MapContents(objects, None, None, names), _drawn(1, channels, rng)
    query = MapQuery(label="thing 7", texts=text)
    texts = {count: _drawn(count, channels, rng) for count in TEXTS}
    return {
        "objects": OBJECTS,
        "query_ms": {str(count): _least_ms(table.scores, some) for count, some in texts.items()},
        "find_ms": _least_ms(find, query, FindFilters(), contents),
    }


def _object(number: int, channels: int, rng: np.random.Generator) -> MapObject:
    """A thing of some voxels somewhere in a large house."""
    points = rng.uniform(0.0, 0.3, (_VOXELS, 3)) + rng.uniform((0, 0, 0), (30, 30, 2))
    return MapObject(
        number,
        VoxelSet.of_points(points, _VOXEL),
        {f"thing {number % 40}": Vote(3.0, 5.0)},
        1,
        2,
        2,
        language=MeanVector(_drawn(1, channels, rng)[0]),
        confirmed=True,
    )


def _drawn(count: int, channels: int, rng: np.random.Generator) -> FloatArray:
    """Unit vectors (count, channels) float32."""
    return np.asarray(unit_vectors(rng.standard_normal((count, channels)).astype(np.float32)))


def _least_ms(call: Callable[..., object], *arguments: object) -> float:
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        call(*arguments)
        took.append(1e3 * (time.process_time() - began))
    return round(min(took), 2)
