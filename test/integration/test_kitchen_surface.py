"""The surface of a recorded kitchen, against depth images that it was not made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kitchen_frames import kitchen_frames

from perception_contrast.core.arrays import FloatArray
from perception_contrast.mapping.geometry.keyframes import DEPTH_SCALE, PinholeView
from perception_contrast.mapping.geometry.open3d_library import open3d
from perception_contrast.mapping.geometry.rectification import pinhole_view
from perception_contrast.mapping.geometry.surface import Mesh, Surface

pytest.importorskip("open3d", exc_type=ImportError)


def scene_of(mesh: Mesh) -> Any:
    library = open3d()
    scene = library.t.geometry.RaycastingScene()
    scene.add_triangles(
        library.core.Tensor(mesh.vertices), library.core.Tensor(mesh.triangles.astype(np.uint32))
    )
    return scene


def rendered(scene: Any, view: PinholeView) -> FloatArray:
    """Depth (H, W) in metres of the mesh from where the view was taken; infinite where nothing is hit."""
    y, x = np.mgrid[: view.camera.height, : view.camera.width]
    camera = view.camera
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], axis=-1)
    directions = rays @ view.pose.rotation.T
    starts = np.broadcast_to(view.pose.translation, directions.shape)
    both = np.concatenate([starts, directions], axis=-1).astype(np.float32)
    return np.asarray(scene.cast_rays(open3d().core.Tensor(both))["t_hit"].numpy())


def test_held_out_depth_lies_on_the_surface(shared: Path) -> None:
    recording = shared / "data/kitchen_rgbd"
    if not recording.is_dir():
        pytest.skip("the recorded kitchen is not here")
    frames, surface = kitchen_frames(recording), Surface()
    for frame in frames[1::2]:
        surface.integrate(frame)
    scene, off, seen = scene_of(surface.mesh()), [], []
    for frame in frames[::2]:
        view = pinhole_view(frame, surface.max_range)
        depth = view.depth / DEPTH_SCALE
        surface_depth = rendered(scene, view)
        both = np.isfinite(surface_depth) & (depth > 0)
        off.append(np.abs(surface_depth - depth)[both])
        seen.append(both.sum() / (depth > 0).sum())
    median = float(np.median(np.concatenate(off)))
    print(f"{1000 * median:.1f} mm off, along the ray, over {100 * np.mean(seen):.0f} % of the depth")
    assert median < 0.015 and np.mean(seen) > 0.8
