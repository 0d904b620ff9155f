"""Tasks on saved maps: open one, answer questions, tell what was seen, forget. The worker keeps it open."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError, QueryError
from perception_contrast.mapping.answers.map_answer import Hit
from perception_contrast.mapping.answers.map_query import FindFilters, MapQuery
from perception_contrast.mapping.geometry.open3d_library import open3d
from perception_contrast.mapping.grid.approach import ApproachPlanner
from perception_contrast.mapping.grid.clearance import clearance
from perception_contrast.mapping.grid.grid_snapshot import GridSnapshot
from perception_contrast.mapping.language.point_scores import scores_of_points
from perception_contrast.mapping.map_persistence import map_of
from perception_contrast.mapping.map_settings import MapSettings
from perception_contrast.mapping.objects.map_object import MapObject
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.exports import objects_as_json, voxel_centres, voxel_colours
from perception_contrast.mapping.storage.map_folder import MapFolder
from perception_contrast.mapping.storage.map_state import MapHeader, MapState
from perception_contrast.memory.memory_store import MemoryStore
from perception_contrast.memory.saved_forgetting import save_forgotten
from perception_contrast.memory.sightings import Filters
from perception_contrast_studio.maps.map_types import (
    ANSWERS,
    ApproachPlace,
    Cloud,
    Ground,
    MapAnswer,
    MapLayers,
    MapThing,
    Point,
    RecallOptions,
    Sighting,
    box_fields,
)
from perception_contrast_studio.workers.worker_process import Report

MOST_POINTS = 200_000
_MOST_RECALLED = 1000


@dataclass
class OpenMap:
    """A map that was read.

    Attributes:
        own: The map.
        state: As it was read.
        points: (n, 3) float32 metres, of the shown cloud.
        rgb: (n, 3) uint8.
    """

    own: SemanticMap
    state: MapState
    points: FloatArray
    rgb: np.ndarray[tuple[int, int], np.dtype[np.uint8]]


def open_map(report: Report, folder: Path, name: str) -> tuple[MapLayers, MapHeader]:
    """Reads a map. Raises MapError where it is absent or damaged."""
    report(0.1, f"reading the map '{name}'")
    opened = _opened(folder, name)
    objects = opened.own.objects.objects
    grid = opened.own.grid.snapshot()
    newest = max((one.last_seen for one in objects), default=0)
    layers = MapLayers(
        tuple(_thing(one, one.confidence) for one in objects),
        Cloud(opened.points, opened.rgb),
        Ground(grid.cells, grid.resolution, grid.origin) if grid.cells.size else None,
        tuple(sorted({label for one in objects for label in one.votes})),
        newest or opened.state.header.updated,
        opened.own.surface_problem,
    )
    return layers, opened.state.header


def find(
    report: Report,
    folder: Path,
    name: str,
    query: MapQuery | str,
    filters: FindFilters,
    bank: FloatArray | None = None,
) -> MapAnswer:
    """Answers a question.

    Args:
        report: Tells the progress.
        folder: Of the maps.
        name: Of the map.
        query: What is looked for; or the id of a thing whose likes are looked for.
        filters: Which answers count.
        bank: (k, c) float32 vectors of generic names that words compete with.

    Raises:
        PerceptionError: The map cannot be read, or there is no such thing.
    """
    own = _opened(folder, name).own
    report(0.9, "searching")
    if bank is not None:
        own.set_name_bank(bank)
    found = own.find(_like(own, query) if isinstance(query, str) else query, filters)
    rays = [(*one.origin, *one.direction) for one in found.directions]
    return MapAnswer(
        ANSWERS[found.kind],
        found.message,
        tuple(_hit(one) for one in found.hits),
        np.array(rays, float).reshape(-1, 6),
    )


def heat(report: Report, folder: Path, name: str, vectors: FloatArray) -> FloatArray:
    """(n,) float32 cosines of the cloud's points with texts (p, c). Raises PerceptionError."""
    opened = _opened(folder, name)
    voxels = opened.own.voxels
    if voxels is None or not len(voxels):
        raise PerceptionError("this map has no features of places, so words cannot colour it")
    found = opened.own.similarities(vectors)
    return scores_of_points(voxels, opened.points, found.rows, found.scores)


def recall(report: Report, folder: Path, name: str, options: RecallOptions) -> tuple[Sighting, ...]:
    """Sightings, the newest first. Raises PerceptionError where the map has no memory."""
    memory = MapFolder(folder).memory_path(name)
    if not memory.exists():
        raise PerceptionError(
            f"map '{name}' remembers nothing: map_node keeps a memory beside the map that its parameter "
            "`map` names, and so does `perception-contrast map SOURCE --save NAME`"
        )
    filters = Filters(
        object_id=_number(options.thing) if options.thing else None,
        since=options.since or None,
        until=options.until or None,
    )
    with MemoryStore(memory, read_only=True) as store:
        seen = store.sightings(filters, limit=min(options.most, _MOST_RECALLED))
    return tuple(
        Sighting(one.stamp, str(one.object_id), one.label, one.score, one.camera, one.center, one.thumbnail)
        for one in seen
    )


def approach(report: Report, folder: Path, name: str, thing: MapThing) -> ApproachPlace:
    """A place to face a thing, for a robot that may come from any side. Raises ApproachError."""
    if thing.status == "gone":
        raise QueryError(f"'{thing.label}' {thing.id} is not there any more, so there is nothing to face")
    grid = _opened(folder, name).own.grid.snapshot()
    planner = ApproachPlanner()
    robot = _nearest_room(grid, thing.center, planner.settings.radius)
    found = planner.plan(grid, robot, np.array(thing.center), np.array(thing.size), thing.yaw)
    message = f"from {found.distance:.2f} m; a saved map does not tell whether the robot can come there"
    return ApproachPlace(found.x, found.y, found.yaw, message)


def forget(report: Report, folder: Path, name: str, things: Sequence[str]) -> str:
    """Takes things out of a map and its memory. Raises PerceptionError, such as for a map in use."""
    opened, numbers = _opened(folder, name), [_number(one) for one in things]
    try:
        opened.own.forget(numbers)
        gone = save_forgotten(MapFolder(folder), name, opened.own, opened.state.header, numbers)
    finally:
        # Where it could not be written, the map in memory is not the one on the disk.
        _read.cache_clear()
    return f"forgotten: {len(numbers)} thing{'s' * (len(numbers) != 1)}, {gone.sightings} sightings"


def objects_json(report: Report, folder: Path, name: str) -> str:
    """The objects as GeoJSON in metres of the map's frame."""
    return json.dumps(objects_as_json(MapFolder(folder).load(name)), indent=1, ensure_ascii=False)


def _opened(folder: Path, name: str) -> OpenMap:
    path = MapFolder(folder).info(name).path
    # A map that was written since is read again.
    written = max(
        (file.stat().st_mtime_ns for file in path.iterdir() if not file.name.startswith("memory")), default=0
    )
    return _read(folder, name, written)


@functools.lru_cache(maxsize=1)
def _read(folder: Path, name: str, written: int) -> OpenMap:
    state = MapFolder(folder).load(name)
    # A surface needs Open3D, which a map without one does not.
    if state.surface:
        with contextlib.suppress(PerceptionError):
            open3d(alone=True)
    own = map_of(state, MapSettings() if state.surface else MapSettings(surface_voxel=0.0))
    if own.surface is not None:
        cloud = own.surface.cloud(MOST_POINTS)
        if len(cloud.points):
            return OpenMap(own, state, cloud.points, cloud.colors)
    points, rgb = voxel_centres(state), voxel_colours(state)
    step = max(1, -(-len(points) // MOST_POINTS))
    return OpenMap(own, state, points[::step], rgb[::step])


def _thing(one: MapObject, score: float) -> MapThing:
    return MapThing(
        str(one.id),
        one.label,
        score,
        one.status,
        *box_fields(one.box),
        one.first_seen,
        one.last_seen,
        one.sightings,
        one.thumbnail.jpeg,
    )


def _hit(hit: Hit) -> MapThing:
    if hit.thing is not None:
        return _thing(hit.thing, hit.score)
    return MapThing("", "", hit.score, "unconfirmed", *box_fields(hit.box), 0, hit.last_seen)


def _like(own: SemanticMap, identity: str) -> MapQuery:
    found = own.object(_number(identity))
    if found is None:
        raise QueryError(f"the map has no thing '{identity}'")
    if found.semantic is None and found.spatial is None:
        raise QueryError(f"'{found.label}' {found.id} has no vectors to compare with")
    none = np.zeros((0, 0), np.float32)
    return MapQuery(
        semantic_exemplars=none if found.semantic is None else found.semantic[None],
        spatial_exemplars=none if found.spatial is None else found.spatial[None],
    )


def _number(identity: str) -> int:
    if not identity.isdecimal():
        raise QueryError(f"'{identity}' is the id of no thing")
    return int(identity)


def _nearest_room(grid: GridSnapshot, center: Point, radius: float) -> tuple[float, float]:
    """x and y of the free place with room for a robot that is nearest to a point; the point without any."""
    cells = np.argwhere(clearance(grid) >= radius)
    if not len(cells):
        return center[0], center[1]
    places = grid.places(cells)
    x, y = places[int(np.argmin(np.hypot(*(places - center[:2]).T)))]
    return float(x), float(y)
