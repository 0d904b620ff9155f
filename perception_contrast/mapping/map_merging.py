"""Two maps of one place as one map."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.errors import SpaceError
from perception_contrast.core.rigid_transform import RigidTransform
from perception_contrast.mapping.geometry.keyframes import KEYFRAME_ARRAYS
from perception_contrast.mapping.geometry.surface import Surface
from perception_contrast.mapping.grid.occupancy import GridSettings, OccupancyGrid
from perception_contrast.mapping.language.far_rays import FarRays
from perception_contrast.mapping.language.voxel_store import VoxelStore
from perception_contrast.mapping.map_settings import MapSettings, grid_settings
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.objects.merging import are_one, survivor
from perception_contrast.mapping.objects.object_settings import ObjectSettings
from perception_contrast.mapping.objects.object_state import object_of, record_of
from perception_contrast.mapping.storage.map_changes import KEYS, rows_of
from perception_contrast.mapping.storage.map_state import Arrays, MapError, MapHeader, MapState

_OBJECT_STORE, _GRID, _NEXT = "object_store", "grid", "next_id"
_KEYFRAME = "keyframe_"
_MOST_HITS = np.iinfo(np.uint16).max
_NO_LIMIT = 1 << 62


@dataclass(frozen=True)
class MergedMap:
    """Two maps as one.

    Attributes:
        state: Of both.
        object_ids: Ids of the second map's objects to those that they have now.
        joined_ids: Ids of the first map's objects that are part of another one now, to that one's.
    """

    state: MapState
    object_ids: dict[int, int]
    joined_ids: dict[int, int]


def merged(
    one: MapState,
    other: MapState,
    one_from_other: RigidTransform | None = None,
    settings: MapSettings | None = None,
) -> MergedMap:
    """One map with all that is in two.

    Voxels of both become weighted means; objects that share their place and are called alike or look alike
    become one, with new ids for those of the second map; the surface is made of the keyframes of both.

    Args:
        one: Its frame and its ids stay.
        other: Of the same models and sizes of voxels.
        one_from_other: Takes points of the second map to the first; None where both have one frame.
        settings: That both were made with; None for the usual ones.

    Raises:
        SpaceError: Their vectors are of different models.
        MapError: Their voxels have different sizes.
        PerceptionError: Both have a surface, and Open3D is not there.
    """
    _require_alike(one.header, other.header)
    moving = one_from_other or RigidTransform.identity()
    offset = _last_submap(one) + 1
    voxels, far = _moved_voxels(other, moving, offset), _moved_rays(other, moving, offset)
    objects, ids, joined = _joined_objects(one, other, moving, offset)
    facts = _joined_facts(one, other, objects)
    if all(state.facts.get(_GRID) for state in (one, other)):
        both = one.facts[_GRID], other.facts[_GRID]
        facts[_GRID] = _both_grids(*both, moving, offset, grid_settings(settings or MapSettings()))
    header = replace(
        one.header,
        semantic_space=one.header.semantic_space or other.header.semantic_space,
        spatial_space=one.header.spatial_space or other.header.spatial_space,
        calibration={**other.header.calibration, **one.header.calibration},
        created=min((time for time in (one.header.created, other.header.created) if time), default=0),
    )
    state = MapState(
        header,
        voxels=joined_rows(one.voxels, voxels),
        far_rays=joined_rows(one.far_rays, far),
        surface=_joined_surface(one, other, moving, offset),
        objects=objects,
        facts=facts,
    )
    return MergedMap(state, ids, joined)


def joined_rows(one: Arrays, other: Arrays) -> Arrays:
    """Two tables of voxels or rays as one; rows of one key become their weighted mean.

    Args:
        one: Of ``VoxelStore.arrays``, each key once; or empty.
        other: Likewise.
    """
    if not rows_of(one) or not rows_of(other):
        return dict(one if rows_of(one) else other)
    count = len(one[KEYS])
    keys = np.concatenate([one[KEYS], other[KEYS]])
    order = np.lexsort((keys[:, 2], keys[:, 1], keys[:, 0]))
    same = (keys[order[1:]] == keys[order[:-1]]).all(axis=1)
    # lexsort is stable, so that of a pair the first map's row comes first.
    first, second = order[:-1][same], order[1:][same] - count
    weights = one["weights"][first], other["weights"][second]
    cap = max(one["weights"].max(), other["weights"].max())
    result = {name: array.copy() for name, array in one.items()}
    shares = (weights[1] / np.maximum(weights[0] + weights[1], np.finfo(np.float32).tiny))[:, None]
    means = one["vectors"][first] * (1 - shares) + other["vectors"][second] * shares
    later = other["last_seen"][second] > one["last_seen"][first]
    result["vectors"][first] = means.astype(np.float16)
    result["weights"][first] = np.minimum(weights[0] + weights[1], cap)
    hits = one["hits"][first].astype(np.int64) + other["hits"][second]
    result["hits"][first] = np.minimum(hits, _MOST_HITS)
    for name in ("last_seen", "submap"):
        result[name][first] = np.where(later, other[name][second], one[name][first])
    new = np.ones(len(other[KEYS]), bool)
    new[second] = False
    return {name: np.concatenate([array, other[name][new]]) for name, array in result.items()}


def _require_alike(one: MapHeader, other: MapHeader) -> None:
    for held, given in (
        (one.semantic_space, other.semantic_space),
        (one.spatial_space, other.spatial_space),
    ):
        if held and given and held != given:
            raise SpaceError(
                f"maps of '{held}' and '{given}' cannot be merged; renew the vectors of one with "
                "`perception-contrast map reembed NAME --model MODEL`"
            )
    if one.voxel_size != other.voxel_size or one.surface_voxel_size != other.surface_voxel_size:
        raise MapError(
            f"maps with voxels of {one.voxel_size} m and {other.voxel_size} m (surfaces: "
            f"{one.surface_voxel_size} m and {other.surface_voxel_size} m) cannot be merged; map one anew"
        )


def _last_submap(state: MapState) -> int:
    tables = (state.voxels.get("submap"), state.far_rays.get("submap"))
    largest = [int(table.max()) for table in tables if table is not None and len(table)]
    return max([0, *largest, *(int(one["submap"]) for one in state.objects)])


def _room(table: Arrays) -> int:
    """Bytes in which all rows of a table have room, whatever else a store keeps of them."""
    return (1 << 20) + 4 * sum(int(array.nbytes) for array in table.values())


def _moved_voxels(state: MapState, moving: RigidTransform, offset: int) -> Arrays:
    if not rows_of(state.voxels):
        return {}
    store = VoxelStore.of_arrays(state.voxels, state.header.voxel_size, max_bytes=_room(state.voxels))
    store.move(_everywhere(state.voxels["submap"], moving))
    return _offset(store.arrays(), offset)


def _moved_rays(state: MapState, moving: RigidTransform, offset: int) -> Arrays:
    if not rows_of(state.far_rays):
        return {}
    rays = FarRays.of_arrays(state.far_rays, max_bytes=_room(state.far_rays))
    rays.move(_everywhere(state.far_rays["submap"], moving))
    return _offset(rays.arrays(), offset)


def _everywhere(submaps: NDArray[Any], moving: RigidTransform) -> dict[int, RigidTransform]:
    return {int(number): moving for number in np.unique(submaps)}


def _offset(table: Arrays, offset: int) -> Arrays:
    return {**table, "submap": table["submap"] + np.int32(offset)}


def _joined_objects(
    one: MapState, other: MapState, moving: RigidTransform, offset: int
) -> tuple[list[dict[str, Any]], dict[int, int], dict[int, int]]:
    """Records of all objects; new ids of the second map's; ids of the first map's that are no more."""
    kept = {int(record["id"]): object_of(record) for record in one.objects}
    first_ids = set(kept)
    # An id is never used for another thing, so none of those that the first map has forgotten.
    free = max([_next_id(one), *(number + 1 for number in kept)])
    new_ids = {int(record["id"]): free + place for place, record in enumerate(other.objects)}
    now: dict[int, int] = {}  # ids that are no more
    for record in other.objects:
        came = object_of(record)
        came = replace(
            came,
            id=new_ids[came.id],
            voxels=came.voxels.moved(moving, one.header.voxel_size),
            submap=came.submap + offset,
            apart=frozenset(new_ids[number] for number in came.apart if number in new_ids),
        )
        kept[came.id] = came
        lost = _join(kept, came)
        now = {old: lost.get(stays, stays) for old, stays in now.items()} | lost
    records = [record_of(_renamed_apart(kept[number], now)) for number in sorted(kept)]
    ids = {old: now.get(number, number) for old, number in new_ids.items()}
    return records, ids, {old: stays for old, stays in now.items() if old in first_ids}


def _renamed_apart(one: MapObject, now: Mapping[int, int]) -> MapObject:
    return replace(one, apart=frozenset(now.get(number, number) for number in one.apart) - {one.id})


def _join(kept: dict[int, MapObject], came: MapObject) -> dict[int, int]:
    """Makes one of an object and those that are the same thing; ids that are no more, to what stays."""
    lost: dict[int, int] = {}
    settings = ObjectSettings()
    for number in sorted(kept):
        there = kept.get(number)
        if there is None or there.id == came.id or there.gone != came.gone:
            continue
        if are_one(there, came, settings):
            stays, goes = survivor(there, came)
            came = stays.joined(goes)
            del kept[goes.id]
            kept[came.id] = came
            lost = {old: came.id if now == goes.id else now for old, now in lost.items()}
            lost[goes.id] = came.id
    return lost


def _next_id(state: MapState) -> int:
    return int(dict(state.facts.get(_OBJECT_STORE, {})).get(_NEXT, 1))


def _joined_facts(one: MapState, other: MapState, objects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    facts = {**other.facts, **one.facts}
    stores = [state.facts[_OBJECT_STORE] for state in (other, one) if state.facts.get(_OBJECT_STORE)]
    if stores:
        largest = max((int(record["id"]) for record in objects), default=0)
        next_id = max(largest + 1, *(int(store.get(_NEXT, 1)) for store in stores))
        facts[_OBJECT_STORE] = {name: value for store in stores for name, value in store.items()}
        facts[_OBJECT_STORE][_NEXT] = next_id
    return facts


def _both_grids(
    one: Mapping[str, NDArray[Any]],
    other: Mapping[str, NDArray[Any]],
    moving: RigidTransform,
    offset: int,
    settings: GridSettings,
) -> Arrays:
    moved = OccupancyGrid.of_arrays(other, settings)
    moved.move(_everywhere(other["submap"], moving))
    return _joined_grids(one, moved.arrays(), offset)


def _joined_grids(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]], offset: int) -> Arrays:
    """The cells of both grids; of what both know, those of the first."""
    corners = np.stack([one["corner"], other["corner"]])
    ends = corners + np.array([one["submap"].shape, other["submap"].shape])
    low, high = corners.min(axis=0), ends.max(axis=0)
    result: Arrays = {"corner": low}
    nowhere = min(one["submap"].min(initial=-1), other["submap"].min(initial=-1))
    for name in ("hits", "floor", "submap"):
        blank = nowhere if name == "submap" else 0
        result[name] = np.full([*(high - low), *one[name].shape[2:]], blank, one[name].dtype)
    for grid, corner, added in ((other, corners[1], offset), (one, corners[0], 0)):
        rows, columns = grid["submap"].shape
        at = corner - low
        window = slice(at[0], at[0] + rows), slice(at[1], at[1] + columns)
        known = grid["submap"] != nowhere
        for name in ("hits", "floor", "submap"):
            values = grid[name] + added if name == "submap" else grid[name]
            result[name][window][known] = values[known]
    return result


def _joined_surface(one: MapState, other: MapState, moving: RigidTransform, offset: int) -> Arrays:
    if not one.surface or not other.surface:
        if not other.surface:
            return one.surface
        return _rebuilt(other.surface, other.header, moving, offset)
    return _rebuilt(_both_keyframes(one.surface, other.surface, moving, offset), one.header)


def _both_keyframes(one: Arrays, other: Arrays, moving: RigidTransform, offset: int) -> Arrays:
    """The first surface's arrays, with the keyframes of the second behind its own."""
    names = [f"{_KEYFRAME}{name}" for name in KEYFRAME_ARRAYS]
    changed = _moved_keyframes(other, moving, offset)
    return {**one, **{name: np.concatenate([one[name], changed[name]]) for name in names}}


def _moved_keyframes(surface: Arrays, moving: RigidTransform, offset: int) -> Arrays:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = moving.rotation, moving.translation
    poses, submaps = f"{_KEYFRAME}poses", f"{_KEYFRAME}submaps"
    return {**surface, poses: matrix @ surface[poses], submaps: surface[submaps] + np.int32(offset)}


def _rebuilt(
    surface: Arrays, header: MapHeader, moving: RigidTransform | None = None, offset: int = 0
) -> Arrays:
    """A surface made again from its keyframes."""
    arrays = surface if moving is None else _moved_keyframes(surface, moving, offset)
    count = len(arrays[f"{_KEYFRAME}stamps"])
    made = Surface.of_arrays(arrays, header.surface_voxel_size, max_bytes=_NO_LIMIT, max_keyframes=count)
    made.rebuild()
    return made.arrays()
