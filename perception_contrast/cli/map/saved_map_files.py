"""`perception-contrast map list | info | export | delete | compact`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.cli.map.map_arguments import local_time, require_file_place
from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.counted import counted
from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.storage import exports
from perception_contrast.mapping.storage.compaction import compact
from perception_contrast.mapping.storage.map_folder import MapFolder, MapInfo
from perception_contrast.mapping.storage.map_state import MapState
from perception_contrast.memory.forgetting import scrub
from perception_contrast.memory.memory_store import MemoryStore

_MEGABYTE = 1e6
# What the parts of a map hold: of one, and of several.
_NOUNS = {
    "voxels": ("voxel", "voxels"),
    "far_rays": ("far ray", "far rays"),
    "surface": ("block of the surface", "blocks of the surface"),
    "keyframes": ("keyframe", "keyframes"),
    "objects": ("object", "objects"),
}


def list_maps(options: argparse.Namespace) -> int:
    """A line for each map. Exit code 1 if one cannot be read."""
    maps = MapFolder()
    infos = [maps.info(name) for name in maps.names()]
    if options.json:
        print(json.dumps([_record(info) for info in infos], indent=1))
    else:
        for info in infos:
            print(_line(info))
        print(f"\n{counted(len(infos), 'map')} in {maps.folder}")
    for info in infos:
        if info.problem:
            print(f"refused: {info.problem}", file=sys.stderr)
    return 1 if any(info.problem for info in infos) else 0


def info(options: argparse.Namespace) -> int:
    """What a map and its memory hold."""
    maps = MapFolder()
    found = maps.info(options.name)
    if found.manifest is None:
        raise PerceptionError(found.problem)
    record = _record(found)
    memory = maps.memory_path(options.name)
    if memory.exists():
        with MemoryStore(memory, read_only=True) as store:
            record["memory"] = asdict(store.counts())
    if options.json:
        print(json.dumps(record, indent=1))
        return 0
    header, counts = found.manifest.header, found.manifest.counts
    rows = {
        "map": f"{found.name} ({found.path})",
        "made": f"{local_time(header.created)}, written {local_time(header.updated)}",
        "frame": f"{header.frame}; voxels of {header.voxel_size:g} and {header.surface_voxel_size:g} m",
        "language": header.semantic_space or "none",
        "images": header.spatial_space or "none",
        "cameras": ", ".join(sorted(header.calibration)) or "none",
        "holds": ", ".join(
            counted(count, *_NOUNS.get(name, (name, name))) for name, count in counts.items() if count
        )
        or "nothing",
        "size": f"{found.bytes / _MEGABYTE:.1f} MB, {found.journal_bytes / _MEGABYTE:.1f} MB of it journals",
    }
    if "memory" in record:
        held = record["memory"]
        rows["memory"] = (
            f"{counted(held['sightings'], 'sighting')} of {counted(held['objects'], 'object')}, "
            f"{counted(held['keyframes'], 'keyframe')}, "
            f"{local_time(held['oldest'] or 0)} to {local_time(held['newest'] or 0)}"
        )
    for name, value in rows.items():
        print(f"{name:<9} {value}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Writes a map as the file's suffix says. Raises PerceptionError for another suffix."""
    suffix = options.file.suffix.lower()
    if suffix not in (".ply", ".npz", ".json", ".rrd"):
        raise PerceptionError(
            f"'{options.file}' has a suffix that no export has; use .ply, .npz, .json or .rrd"
        )
    require_file_place(options.file)
    state = MapFolder().load(options.name)
    if suffix == ".npz":
        exports.write_features(options.file, state)
    elif suffix == ".json":
        exports.write_objects_json(options.file, state)
    else:
        points, colours, normals = cloud_of(state)
        if suffix == ".ply":
            exports.write_ply(options.file, points, colours, normals)
        else:
            exports.write_rerun(options.file, state, points, colours)
    print(options.file)
    return 0


def delete(options: argparse.Namespace) -> int:
    """Deletes maps; where one of the names is wrong, none is deleted."""
    maps = MapFolder()
    for name in options.names:
        maps.info(name)
    for name in options.names:
        maps.delete(name)
        print(f"deleted {name}")
    return 0


def compact_map(options: argparse.Namespace) -> int:
    """Makes one snapshot of a map, and gives back room that its memory does not use any more."""
    maps = MapFolder()
    path = maps.info(options.name).path
    done = compact(path, recover=options.recover)
    before, after = done.before, done.after
    memory = maps.memory_path(options.name)
    if memory.exists():
        with MemoryStore(memory) as store:
            scrub(store)
        after = _bytes(path)
    print(f"{options.name}: {before / _MEGABYTE:.1f} MB before, {after / _MEGABYTE:.1f} MB now")
    return 0


def cloud_of(state: MapState) -> tuple[FloatArray, NDArray[np.uint8], FloatArray | None]:
    """Points, colours and normals of a map: of its surface, else its voxels with colours of their vectors.

    Raises:
        PerceptionError: The map is empty, or has a surface, and Open3D is not there.
    """
    if state.surface:
        from perception_contrast.mapping.geometry.surface import Surface

        cloud = Surface.of_arrays(state.surface, state.header.surface_voxel_size).cloud()
        if len(cloud.points):
            return cloud.points, cloud.colors, cloud.normals
    points = exports.voxel_centres(state)
    if not len(points):
        raise PerceptionError("the map has neither a surface nor voxels; there is no cloud to export")
    return points, exports.voxel_colours(state), None


def _record(info: MapInfo) -> dict[str, Any]:
    record: dict[str, Any] = {"name": info.name, "path": str(info.path), "bytes": info.bytes}
    record["journal_bytes"] = info.journal_bytes
    if info.manifest is None:
        return record | {"problem": info.problem}
    return record | asdict(info.manifest.header) | {"counts": dict(info.manifest.counts)}


def _line(info: MapInfo) -> str:
    if info.manifest is None:
        return f"{info.name}: cannot be read"
    header, counts = info.manifest.header, info.manifest.counts
    return (
        f"{info.name}: {counted(counts.get('objects', 0), 'object')}, "
        f"{counted(counts.get('voxels', 0), 'voxel')}, "
        f"{info.bytes / _MEGABYTE:.1f} MB, {local_time(header.updated)}, {header.semantic_space}"
    )


def _bytes(path: Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
