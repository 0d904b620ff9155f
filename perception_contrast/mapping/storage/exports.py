"""A map for other programs: PLY, features as npz, objects as GeoJSON-like JSON, a rerun recording."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perception_contrast.core.arrays import FloatArray
from perception_contrast.core.errors import PerceptionError
from perception_contrast.core.file_writing import writing
from perception_contrast.mapping.geometry.boxes import Box3D
from perception_contrast.mapping.storage.map_state import MapState, ObjectRecord

_VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])
_TURNED_VERTEX = np.dtype([("xyz", "<f4", 3), ("normal", "<f4", 3), ("rgb", "u1", 3)])
_SAMPLE = 20_000
_RERUN_REMEDY = "install it with `pip install rerun-sdk`, or export ply, npz or json"
# Colours of boxes by what is known of the object.
_COLOURS = {"confirmed": (60, 200, 90), "unconfirmed": (230, 180, 40), "gone": (150, 150, 150)}


def write_ply(
    path: Path, points: FloatArray, colors: NDArray[np.uint8], normals: FloatArray | None = None
) -> None:
    """Writes a cloud as binary PLY.

    Args:
        path: The file.
        points: (n, 3) metres.
        colors: (n, 3) RGB.
        normals: (n, 3) unit vectors, or None.

    Raises:
        StorageError: It cannot be written.
    """
    vertices = np.empty(len(points), _VERTEX if normals is None else _TURNED_VERTEX)
    vertices["xyz"], vertices["rgb"] = points, colors
    names = [("float", axis) for axis in "xyz"]
    if normals is not None:
        vertices["normal"] = normals
        names += [("float", f"n{axis}") for axis in "xyz"]
    names += [("uchar", channel) for channel in ("red", "green", "blue")]
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}"]
    lines += [f"property {kind} {name}" for kind, name in names]
    with writing(path) as part, part.open("wb") as file:
        file.write("\n".join([*lines, "end_header\n"]).encode())
        file.write(vertices.tobytes())


def write_features(path: Path, state: MapState) -> None:
    """Writes the voxels' vectors as OpenScene's fused features are: an npz without pickles.

    ``coord`` (n, 3) float32 centres in metres, ``feat`` (n, c) float16, ``mask_full`` (n,) bool (all True,
    for each voxel has a vector), and the texts ``space`` and ``frame``.

    Raises:
        StorageError: It cannot be written.
        PerceptionError: The map has no voxels with vectors.
    """
    if not len(state.voxels.get("keys", ())):
        raise PerceptionError("the map has no voxels with vectors, so there are no features to export")
    # Numpy adds .npz to a name, so it gets the open file.
    with writing(path) as part, part.open("wb") as file:
        np.savez_compressed(
            file,
            coord=voxel_centres(state),
            feat=state.voxels["vectors"],
            mask_full=np.ones(len(state.voxels["keys"]), bool),
            space=np.array(state.header.semantic_space),
            frame=np.array(state.header.frame),
        )


def voxel_centres(state: MapState) -> FloatArray:
    """(n, 3) float32 metres."""
    keys = state.voxels.get("keys", np.empty((0, 3), np.int32))
    return np.asarray((keys + 0.5) * state.header.voxel_size, np.float32)


def voxel_colours(state: MapState) -> NDArray[np.uint8]:
    """(n, 3) RGB: the three principal components of the voxels' vectors, so that like things look alike."""
    vectors = state.voxels.get("vectors", np.empty((0, 0), np.float16))
    if not len(vectors) or vectors.shape[1] < 3:
        return np.full((len(vectors), 3), 128, np.uint8)
    sample = vectors[:: max(1, len(vectors) // _SAMPLE)].astype(np.float32)
    mean = sample.mean(axis=0)
    basis = np.linalg.svd(sample - mean, full_matrices=False)[2][:3]
    shades = (vectors @ basis.T.astype(np.float16)).astype(np.float32) - basis @ mean
    low, high = np.percentile(shades, (2, 98), axis=0)
    return np.asarray(np.clip((shades - low) / np.maximum(high - low, 1e-9), 0, 1) * 255, np.uint8)


def objects_as_json(state: MapState) -> dict[str, Any]:
    """The objects as a GeoJSON FeatureCollection whose coordinates are metres in the map's frame.

    Each feature has the object's ``id``, its footprint as a Polygon, a ``bbox`` of six numbers, its label,
    status and times as properties; z of the Polygon is the height of its floor.
    """
    return {
        "type": "FeatureCollection",
        "frame": state.header.frame,
        "unit": "metre",
        "space": state.header.semantic_space,
        "features": [_feature(record) for record in state.objects],
    }


def write_objects_json(path: Path, state: MapState) -> None:
    """Writes ``objects_as_json``. Raises StorageError."""
    text = json.dumps(objects_as_json(state), indent=1, ensure_ascii=False) + "\n"
    with writing(path) as part:
        part.write_text(text, "utf-8")


def write_rerun(path: Path, state: MapState, points: FloatArray, colors: NDArray[np.uint8]) -> None:
    """Writes a recording for the rerun viewer: the cloud, the objects' boxes with labels, their images.

    Args:
        path: A file, by custom ``.rrd``.
        state: The map.
        points: (n, 3) metres of the cloud.
        colors: (n, 3) RGB of the cloud.

    Raises:
        PerceptionError: rerun is not installed.
        StorageError: It cannot be written.
    """
    rerun = _rerun()
    with writing(path) as part:
        recording = rerun.RecordingStream("perception_contrast_map")
        recording.save(str(part))
        recording.log("map", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        recording.log("map/cloud", rerun.Points3D(points, colors=colors), static=True)
        if state.objects:
            boxes = [_box(record) for record in state.objects]
            recording.log(
                "map/objects",
                rerun.Boxes3D(
                    centers=[box.center for box in boxes],
                    half_sizes=[box.size / 2 for box in boxes],
                    quaternions=[
                        rerun.Quaternion(xyzw=(0.0, 0.0, math.sin(box.yaw / 2), math.cos(box.yaw / 2)))
                        for box in boxes
                    ],
                    labels=[f"{record['label']} {record['id']}" for record in state.objects],
                    colors=[_COLOURS[record["status"]] for record in state.objects],
                ),
                static=True,
            )
        for record in state.objects:
            if record["thumbnail"]:
                image = rerun.EncodedImage(contents=record["thumbnail"], media_type="image/jpeg")
                recording.log(f"objects/{record['id']}", image, static=True)
        recording.flush()
        recording.disconnect()


def _rerun() -> Any:
    try:
        import rerun
    except ImportError as error:
        raise PerceptionError(
            f"a rerun recording needs the library rerun, which is not installed; {_RERUN_REMEDY}"
        ) from error
    return rerun


def _box(record: ObjectRecord) -> Box3D:
    return Box3D.turned(np.asarray(record["centroids"], np.float64))


def _feature(record: ObjectRecord) -> dict[str, Any]:
    box = _box(record)
    low, high = (_numbers(record[side]) for side in ("low", "high"))
    return {
        "type": "Feature",
        "id": int(record["id"]),
        "bbox": [*low, *high],
        "geometry": {"type": "Polygon", "coordinates": [_footprint(box)]},
        "properties": {
            "label": record["label"],
            "status": record["status"],
            "confidence": round(float(record["confidence"]), 4),
            "sightings": int(record["sightings"]),
            "first_seen": int(record["first_seen"]),
            "last_seen": int(record["last_seen"]),
            "center": _numbers(box.center),
            "size": _numbers(box.size),
            "yaw": round(box.yaw, 4),
            "evidence": {
                label: round(float(probability), 4)
                for label, (probability, _) in sorted(record["evidence"].items())
            },
        },
    }


def _footprint(box: Box3D) -> list[list[float]]:
    """Its corners counterclockwise, the first again at the end, as RFC 7946 wants it."""
    half = box.size[:2] / 2
    turn = np.array([[math.cos(box.yaw), -math.sin(box.yaw)], [math.sin(box.yaw), math.cos(box.yaw)]])
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1), (-1, -1)]) * half @ turn.T + box.center[:2]
    floor = float(box.center[2] - box.size[2] / 2)
    return [_numbers([x, y, floor]) for x, y in corners]


def _numbers(values: Sequence[float] | NDArray[Any]) -> list[float]:
    return [round(float(value), 4) for value in values]
