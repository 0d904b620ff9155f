"""Forgetting in a saved map that no node has open: its files and its memory."""

from __future__ import annotations

from collections.abc import Collection

from perception_contrast.mapping.map_persistence import state_of
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_state import MapHeader
from perception_contrast.memory.forgetting import Forgotten, forget
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.sightings import Filters


def save_forgotten(
    maps: MapFolder,
    name: str,
    own: SemanticMap,
    header: MapHeader,
    numbers: Collection[int],
    *filters: Filters,
) -> Forgotten:
    """Writes a map that has forgotten objects, and takes them out of its memory with their bytes.

    Args:
        maps: Where it is.
        name: Of the map.
        own: The map, which has forgotten them already.
        header: As it was read.
        numbers: Ids of the objects.
        filters: What else is forgotten of the memory.

    Raises:
        MapError: The map is in use.
        StorageError: It cannot be written, so that something is still there.
    """
    maps.save(name, state_of(own, header))
    memory = maps.memory_path(name)
    if not memory.exists():
        return Forgotten(0, 0)
    with MemoryStore(memory) as store:
        return forget(store, *filters, *(Filters(object_id=number) for number in numbers))
