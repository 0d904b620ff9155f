"""A small saved map with a memory, as the studio opens it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from map_examples import SPACE, SPATIAL_SPACE, map_object, map_state, object_record, sighting

from perception_contrast.mapping.objects.object_state import record_of
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.memory.memory_store import MemoryStore


def save_small_map(folder: Path, name: str) -> None:
    """Two mugs, and a chair that is gone; three sightings of the mugs."""
    gone = record_of(map_object(3, "chair", (2.0, 0.0, 0.0), gone=True))
    save_objects(folder, name, [object_record(1), object_record(2, at=(1.0, 0.0, 0.0)), gone])
    with MemoryStore(MapFolder(folder).memory_path(name)) as memory:
        memory.add([sighting(10), sighting(12), sighting(11, object_id=2)])


def save_objects(folder: Path, name: str, records: list[dict[str, Any]]) -> None:
    """A map of these objects and five voxels."""
    spaces = {"semantic_space": SPACE, "spatial_space": SPATIAL_SPACE}
    facts = {"object_store": {**ObjectStore().facts(), **spaces}}
    MapFolder(folder).save(name, replace(map_state(0), objects=records, facts=facts))
