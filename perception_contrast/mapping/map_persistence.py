"""A SemanticMap as what is stored: its state, its changes, and the map of a stored state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from perception_contrast.mapping.geometry.surface import Surface
from perception_contrast.mapping.grid.occupancy import OccupancyGrid
from perception_contrast.mapping.language.far_rays import FarRays
from perception_contrast.mapping.language.half_rows import HalfArray
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_settings import MapSettings, grid_settings, object_settings
from perception_contrast.mapping.objects.object_reports import Observation
from perception_contrast.mapping.objects.object_state import record_of
from perception_contrast.mapping.objects.object_store import ObjectStore
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.map_state import MapChanges, MapHeader, MapState

_OBJECTS, _GRID = "object_store", "grid"


def header_of(own: SemanticMap, frame: str, calibration: Mapping[str, Any] | None = None) -> MapHeader:
    """What is told of a map before its arrays.

    Args:
        own: The map.
        frame: TF frame that its positions are in.
        calibration: Camera name to what is known of it, as JSON can hold it.
    """
    return MapHeader(
        semantic_space=own.semantic_space,
        spatial_space=own.spatial_space,
        frame=frame,
        voxel_size=own.settings.voxel,
        surface_voxel_size=own.settings.surface_voxel,
        calibration=dict(calibration or {}),
    )


def room_of(own: SemanticMap) -> HalfArray | None:
    """Memory that ``state_of`` fills; to get it takes longer than that, and the map is not held here."""
    voxels = own.voxels
    return None if voxels is None else voxels.room()


def state_of(own: SemanticMap, header: MapHeader, room: HalfArray | None = None) -> MapState:
    """All of a map, as it is now.

    Args:
        own: The map, which is held meanwhile.
        header: As of ``header_of``.
        room: Of ``room_of``, so that the map is held for less time; the state lies in it then.
    """
    with own.lock:
        state = own.objects.state()
        return MapState(
            header=header,
            voxels=own.voxels.arrays(room) if own.voxels is not None else {},
            far_rays=own.far.arrays() if own.far is not None else {},
            surface=own.surface.arrays() if own.surface is not None else {},
            objects=tuple(state.pop("objects")),
            facts=_facts(own, state),
        )


@dataclass(frozen=True)
class TakenChanges:
    """What changed in a map.

    Attributes:
        changes: For the map's journal.
        sightings: That were made, oldest first.
        merged: Ids of objects that are no more, to those of the objects that they are part of.
    """

    changes: MapChanges
    sightings: tuple[Observation, ...]
    merged: dict[int, int]


def take_changes(own: SemanticMap) -> TakenChanges:
    """What changed in a map since the last call.

    The surface and the grid are no part of it: they are written with the next snapshot.
    """
    with own.lock:
        objects = own.objects.take_changed()
        changed = bool(objects.objects or objects.removed)
        state = own.objects.state() if changed else {}
        state.pop("objects", None)
        changes = MapChanges(
            voxels=own.voxels.take_changed() if own.voxels is not None else {},
            far_rays=own.far.take_changed() if own.far is not None else {},
            objects=tuple(record_of(one) for one in objects.objects),
            removed_objects=(*objects.removed, *objects.merged),
            facts=_facts(own, state, grid=False) if changed else None,
        )
        return TakenChanges(changes, objects.sightings, objects.merged)


def map_of(state: MapState, settings: MapSettings) -> SemanticMap:
    """The map of a stored state.

    Args:
        state: As it was read.
        settings: Limits from now on. Sizes of voxels are those of the state.

    Raises:
        MapError: The state is damaged.
    """
    header = state.header
    surface = header.surface_voxel_size if settings.surface_voxel else 0.0
    own = SemanticMap(replace(settings, voxel=header.voxel_size, surface_voxel=surface))
    own.semantic_space, own.spatial_space = header.semantic_space, header.spatial_space
    if state.voxels:
        own.voxels = VoxelStore.of_arrays(
            state.voxels, size=own.settings.voxel, max_bytes=own.settings.max_bytes
        )
        own.far = FarRays(own.voxels.channels)
    if state.far_rays:
        own.far = FarRays.of_arrays(state.far_rays)
    if state.surface and own.surface is not None:
        own.surface = Surface.of_arrays(
            state.surface, own.settings.surface_voxel, max_range=own.settings.max_range
        )
    facts = dict(state.facts)
    if _OBJECTS in facts:
        own.objects = ObjectStore.of_state(
            {**facts[_OBJECTS], "objects": list(state.objects)}, object_settings(own.settings)
        )
    if facts.get(_GRID):
        own.grid = OccupancyGrid.of_arrays(facts[_GRID], grid_settings(own.settings))
    return own


def _facts(own: SemanticMap, objects: Mapping[str, Any], *, grid: bool = True) -> dict[str, Any]:
    facts: dict[str, Any] = {_OBJECTS: dict(objects)}
    if grid:
        facts[_GRID] = own.grid.arrays()
    return facts
