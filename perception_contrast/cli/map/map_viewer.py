"""The map in a window, or as a file for the rerun viewer where there is no display."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from perception_contrast.core.errors import PerceptionError
from perception_contrast.mapping.geometry.open3d_library import open3d
from perception_contrast.mapping.map_persistence import header_of, state_of
from perception_contrast.mapping.semantic_map import SemanticMap
from perception_contrast.mapping.storage.exports import write_rerun

_STATUS_COLOURS = {"confirmed": (0.0, 0.45, 0.7), "unconfirmed": (0.7, 0.7, 0.7)}


def show(own: SemanticMap, name: str, frame: str) -> str:
    """Shows the map until the window is closed, or writes ``<name>.rrd`` where there is no display.

    Args:
        own: The map.
        name: Of the window, or of the file in the present folder.
        frame: Of the map's positions.

    Returns:
        What was done, in a line.

    Raises:
        PerceptionError: The map has no surface, or neither Open3D's window nor rerun can be had.
    """
    if own.surface is None:
        raise PerceptionError("a map without a surface cannot be shown; leave --no-surface out")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        path = Path(f"{Path(name).stem or 'map'}.rrd")
        cloud = own.surface.cloud()
        write_rerun(path, state_of(own, header_of(own, frame)), cloud.points, cloud.colors)
        return f"no display here; open '{path}' with the rerun viewer"
    library = open3d()
    library.visualization.draw_geometries(_geometries(library, own), window_name=f"map of {name}")
    return "the window was closed"


def _geometries(library: Any, own: SemanticMap) -> list[Any]:
    """The mesh and the boxes of the objects that are there."""
    assert own.surface is not None
    mesh, geometry, utility = own.surface.mesh(), library.geometry, library.utility
    shown = geometry.TriangleMesh(
        utility.Vector3dVector(mesh.vertices.astype(float)), utility.Vector3iVector(mesh.triangles)
    )
    shown.vertex_colors = utility.Vector3dVector(mesh.colors / 255.0)
    shown.vertex_normals = utility.Vector3dVector(mesh.normals.astype(float))
    boxes = []
    for thing in own.objects.objects:
        if thing.status == "gone":
            continue
        box = geometry.OrientedBoundingBox(
            np.asarray(thing.box.center), thing.box.rotation, np.asarray(thing.box.size)
        )
        box.color = _STATUS_COLOURS[thing.status]
        boxes.append(box)
    return [shown, *boxes]
